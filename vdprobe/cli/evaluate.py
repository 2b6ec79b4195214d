"""`vdprobe evaluate`: predictions to the numbers of a benchmark."""

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from vdprobe.cli.numbers import whole
from vdprobe.cli.options import Json, Only, split_list
from vdprobe.cli.output import count_progress, print_json, print_table, say

SHOWN = 5
"""Names that are printed of a list; the report holds all."""
Workers = Annotated[int | None, whole("Processes; one a core if not given.", least=1)]


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder or zip of masks, or JSON of COCO results.")],
    protocol: Annotated[
        str,
        typer.Option(
            help="davis-semi, davis-unsup, refdavis-referformer, refdavis-visa, ytvos, mevis, a2d, jhmdb or refcoco."
        ),
    ],
    dataset: Annotated[
        Path, typer.Option(help="Folder of the dataset; for a2d, jhmdb and refcoco also its JSON of annotations.")
    ],
    split: Annotated[str, typer.Option(help="Split of the dataset; of a JSON all is scored.")] = "valid",
    only: Only = None,
    difficulty: Annotated[
        str | None, typer.Option(help="Score expressions of that one alone, where the dataset tells it (MovingShapes).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report.json and rows.csv, a row a frame.")] = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Score predictions as a benchmark does. What is missing scores 0, is named, and makes exit status 1."""
    from vdprobe.data.hold import hold
    from vdprobe.studies.evaluate import EvaluateConfig, run_evaluation, write_report

    ids = tuple(split_list("only", only or ()))
    config = EvaluateConfig(
        protocol=protocol, predictions=predictions, dataset=dataset, split=split, only=ids, difficulty=difficulty
    )
    with hold(out) if out is not None else nullcontext():
        with count_progress("scoring", "things") as update:
            report = run_evaluation(config, workers=workers or os.cpu_count() or 1, on_progress=update)
        written = () if out is None else write_report(report, config, out)
    for note in report.notes:
        say(f"note: {note}")
    list_some("missing, scored 0", report.missing)
    list_some("not scored, no usable truth", report.unscored)
    list_some("extra, not looked at", report.extra)
    if as_json:
        print_json(report.to_plain())
    else:
        for what, policy in report.policy.items():
            say(f"{what}: {policy}")
        print_table((protocol, "%"), [(name, f"{100 * score:.2f}") for name, score in report.scores.items()])
        say(", ".join(f"{count} {what}" for what, count in report.counts.items() if count))
    for path in written:
        say(f"written: {path}")
    raise typer.Exit(1 if report.missing or report.unscored else 0)


def list_some(what: str, names: tuple[str, ...]) -> None:
    """How many there are, and the first of them."""
    if names:
        rest = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        say(f"{what}: {len(names)} ({', '.join(names[:SHOWN])}{rest})")
