"""`vdprobe predict`: masks of a trained or imported head for any videos."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vdprobe.cli import options as o
from vdprobe.cli.numbers import fraction, whole
from vdprobe.cli.output import bars_in_turn, human_seconds, list_failures, print_json, say, stop
from vdprobe.cli.submit import tell_submission

if TYPE_CHECKING:
    from vdprobe.studies.predict.predicted import Predicted

WITHIN = "features"
"""Where in the configuration the options of an extraction are."""
PATHS = {name: f"{WITHIN}.{path}" for name, path in o.PATHS.items()} | {
    "split": f"{WITHIN}.videos.split",
    "words": "words",
    "text_case": "text_case",
    "threshold": "threshold",
    "benchmark": "benchmark",
}
"""Parameter of the command to its place in `PredictConfig`."""


def predict(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(help="Folder of `train-head` or of `import-official`.")],
    videos: o.Videos = None,
    out: Annotated[Path, typer.Option(help="Folder for the masks and all that belongs to them.")] = Path("predictions"),
    benchmark: Annotated[
        str | None,
        typer.Option(
            help="plain, ref-ytvos, mevis, davis, a2d, jhmdb or refcoco; if not given what the layout is of.",
            show_default=False,
        ),
    ] = None,
    layout: o.Layout = None,
    split: Annotated[str | None, typer.Option(help="Split of the dataset; valid if not given.")] = None,
    only: o.Only = None,
    expressions: o.Expressions = None,
    zip_file: Annotated[Path | None, typer.Option("--zip", help="Also a zip for the benchmark's server.")] = None,
    overlays: Annotated[int, whole("Draw so many of the predictions: films, and a sheet.", least=0)] = 0,
    model: o.Model = None,
    image_encoder: o.ImageEncoder = None,
    adapter: o.Adapter = None,
    words: Annotated[str | None, typer.Option(help="The head's text encoder: pipeline, a folder or an id.")] = None,
    text_case: Annotated[
        str | None, typer.Option(help="lower or raw: how the head's text encoder gets the texts.", show_default=False)
    ] = None,
    threshold: Annotated[
        float | None, fraction("Probability above which a pixel is the object's; 0.5 if not given.")
    ] = None,
    dtype: o.Dtype = None,
    device: o.Device = None,
    batch_size: o.BatchSize = None,
    store: o.Store = None,
    verify: o.Verify = None,
    spec: Annotated[
        Path | None, typer.Option("--config", help="YAML file with any of these: features, words, ...")
    ] = None,
    as_json: o.Json = False,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="Any option by path, such as --set features.clips.frames=5.")
    ] = None,
) -> None:
    """Predict masks of every expression. Run it again to go on where it was.

    Model, condition, noise, timestep, taps and sizes are those of the head's training unless they are given; with an
    imported head all is as official inference does it with such videos: size of frames, clips, letter case of texts,
    queries. The videos are always given. Features go to the store and are extracted once.
    """
    from vdprobe.studies.predict.config import parse_predict_config
    from vdprobe.studies.predict.head_folder import find_head
    from vdprobe.studies.predict.run import Extras, run_prediction

    found = find_head(run)
    config = parse_predict_config(o.gather(ctx.params, PATHS, base=found.defaults, within=WITHIN), found)
    say(f"the head: {found.folder}")
    try:
        with bars_in_turn() as bar:
            made = run_prediction(
                config,
                found,
                out,
                Extras(overlays=overlays, zip=zip_file),
                on_extract=lambda r: bar("extracting", "items")(r.written, r.items, r.already),
                on_predict=lambda *counts: bar("predicting", "expressions")(*counts),
            )
    except KeyboardInterrupt:
        stop("interrupted: what lies in the masks' folders is whole; run the same command again to go on")
    if as_json:
        print_json(made.to_plain())
    _tell(made)
    if not as_json:
        for place in (*made.places, *made.pictures[:1]):
            typer.echo(f"{place}")
    raise typer.Exit(0 if made.ok else 1)


def _tell(made: "Predicted") -> None:
    for note in made.notes:
        say(f"note: {note}")
    list_failures(made.failures, str(made.record))
    counts = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in made.counts.items())
    say(f"for {made.benchmark}: {counts}; {made.already} expressions were there; in {human_seconds(made.seconds)}")
    if made.submission is not None:
        tell_submission(made.submission, written=True)
