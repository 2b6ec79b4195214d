"""`vdprobe analyze`: what features hold, asked without training; a command for each analysis."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vdprobe.cli import options as o
from vdprobe.cli.evaluate import Workers
from vdprobe.cli.output import bars_in_turn, human_seconds, list_failures, print_json, print_table, say, stop

if TYPE_CHECKING:
    from vdprobe.studies.analysis.analysis import Analysis
    from vdprobe.studies.analysis.run import Found

WITHIN = "features"
"""Where in the configuration the options of an extraction are."""
PATHS = {name: f"{WITHIN}.{path}" for name, path in o.PATHS.items()} | {"split": f"{WITHIN}.videos.split"}
"""Parameter of a command to its place in `AnalysisConfig`."""
QUESTIONS = {
    "consistency": "Does an object keep its feature over time? Figure 4 of VD-IT.",
    "roi-similarity": "Is an object over time more alike than two objects of a frame? AUC, by tap and kind of object.",
    "propagation": "How far do features alone carry the first frame's masks? J&F, without training.",
    "clusters": "Do places and objects keep their cluster over time? Figure 1 of VD-IT.",
    "probe": "What can a linear probe read from features? Object, instance, attribute, cross-validated by video.",
    "layers": "How do layers differ? Norms, outlier channels, effective rank, what the text changes, CKA between taps.",
    "lighting": "How far do features move when the frames get another light? Figure 5 of VD-IT.",
    "stability": "Do predicted masks flicker? How much their IoU changes from frame to frame. Takes predictions.",
}
"""The help line of each analysis."""
OF_MASKS = ("stability",)
"""Those that need no features."""
Split = Annotated[str | None, typer.Option(help="Split of the dataset; valid if not given.")]
Out = Annotated[
    Path | None, typer.Option(help="Folder for tables and figures; analyses/NAME if not given.", show_default=False)
]

app = typer.Typer(
    help="Ask features what they hold, without training: tables with intervals and controls, and figures of them.",
    no_args_is_help=True,
)


def _of_features(name: str) -> Callable[..., None]:
    """A command that extracts what it needs."""

    def analyze(
        ctx: typer.Context,
        spec: o.Spec = None,
        videos: o.Videos = None,
        layout: o.Layout = None,
        split: Split = None,
        only: o.Only = None,
        model: o.AnyModel = None,
        adapter: o.Adapter = None,
        tap: o.Tap = None,
        condition: o.Condition = None,
        noise: o.Noise = None,
        timestep: o.Timestep = None,
        device: o.Device = None,
        store: o.Store = None,
        verify: o.Verify = None,
        out: Out = None,
        workers: Workers = None,
        extract: Annotated[bool, typer.Option(help="Extract what the store lacks, or stop there.")] = True,
        as_json: o.Json = False,
        assignments: o.Set = None,
    ) -> None:
        from vdprobe.studies.analysis.config import with_controls

        values = with_controls(o.gather(ctx.params, PATHS, within=WITHIN))
        _analyze(name, values, out, workers, as_json, extracting=extract)

    return analyze


def _of_masks(name: str) -> Callable[..., None]:
    """A command that looks at predictions."""

    def analyze(
        ctx: typer.Context,
        spec: o.Spec = None,
        videos: o.Videos = None,
        layout: o.Layout = None,
        split: Split = None,
        only: o.Only = None,
        out: Out = None,
        workers: Workers = None,
        as_json: o.Json = False,
        assignments: o.Set = None,
    ) -> None:
        _analyze(name, o.gather(ctx.params, o.PATHS | {"split": "videos.split"}, model=False), out, workers, as_json)

    return analyze


for _name, _question in QUESTIONS.items():
    app.command(_name, help=_question)((_of_masks if _name in OF_MASKS else _of_features)(_name))


def _analyze(
    name: str, values: dict[str, Any], out: Path | None, workers: int | None, as_json: bool, *, extracting: bool = True
) -> None:
    from vdprobe.specs.load import build
    from vdprobe.studies.analysis.analysis import Gather
    from vdprobe.studies.analysis.by_name import ANALYSES
    from vdprobe.studies.analysis.run import Progress, run_analysis

    analysis = ANALYSES[name]
    unit = "steps" if isinstance(analysis.measure, Gather) else "videos"
    config = build(analysis.config, values)
    folder = out or Path("analyses") / name
    count = workers or os.cpu_count() or 1
    try:
        with bars_in_turn() as bar:
            progress = Progress(
                extracting=lambda who, r: bar(f"extracting {who}", "items")(r.written, r.items, r.already, who),
                measuring=lambda who, done, total: bar(f"measuring {who}", unit)(done, total, 0, who),
            )
            found = run_analysis(analysis, config, folder, workers=count, extracting=extracting, progress=progress)
    except KeyboardInterrupt:
        stop(f"interrupted: what {folder} and the store hold is whole; run the same command again to go on")
    _tell(found, analysis, config, as_json)
    raise typer.Exit(1 if found.failures else 0)


def _tell(found: "Found", analysis: "Analysis", config: Any, as_json: bool) -> None:
    from vdprobe.studies.analysis.short import short_table

    short = short_table(analysis.headline(found.tables.summary), config.shown)
    rows = short.astype(object).where(short.notna(), None)
    if as_json:
        print_json(_plain(found, rows.to_dict("records")))
    else:
        print_table(
            [str(name) for name in rows], [["-" if v is None else v for v in row] for row in rows.to_numpy().tolist()]
        )
    for note in found.notes:
        say(f"note: {note}")
    list_failures(found.failures, f"{found.folder}/failures.csv")
    say(f"tables     {found.folder}: values.csv, summary.csv, differences.csv")
    for path in (*found.figures, *found.pictures):
        say(f"figure     {path}")
    if not found.figures:
        say("no figure: intervals need two videos with a value")
    say(f"{found.extracted} items extracted, {human_seconds(found.seconds)} in all")


def _plain(found: "Found", result: Any) -> dict[str, Any]:
    return {
        "folder": str(found.folder),
        "result": result,
        "figures": [str(path) for path in found.figures],
        "pictures": [str(path) for path in found.pictures],
        "extracted": found.extracted,
        "notes": list(found.notes),
        "failures": [{"where": f.where, "error": f.error} for f in found.failures],
        "seconds": round(found.seconds, 3),
    }
