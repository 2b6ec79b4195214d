"""`vdprobe submit`: zips that a benchmark's server takes."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vdprobe.cli.evaluate import Workers, list_some
from vdprobe.cli.options import Json
from vdprobe.cli.output import count_progress, print_json, say

if TYPE_CHECKING:
    from vdprobe.studies.submit import Submission


def submit(
    predictions: Annotated[
        Path | None, typer.Argument(help="Folder or zip of masks to make a zip from.", show_default=False)
    ] = None,
    benchmark: Annotated[str, typer.Option(help="ref-ytvos, mevis or davis.")] = ...,  # type: ignore[assignment]
    out: Annotated[Path | None, typer.Option(help="The zip to write.")] = None,
    check: Annotated[Path | None, typer.Option(help="A zip to check instead.")] = None,
    dataset: Annotated[
        Path | None, typer.Option(help="Folder or meta_expressions.json: checks that no mask is missing.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split of the dataset.")] = "valid",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Write a zip for a benchmark's server, if it is without faults, or check one that is there."""
    from dataclasses import asdict

    from vdprobe.errors import ConfigError
    from vdprobe.studies.submit import check_submission, write_submission

    cores = workers or os.cpu_count() or 1
    with count_progress("checking", "masks") as update:
        if check is not None and predictions is None and out is None:
            made = check_submission(check, benchmark, dataset=dataset, split=split, workers=cores, on_progress=update)
        elif check is None and predictions is not None and out is not None:
            made = write_submission(
                predictions, benchmark, out, dataset=dataset, split=split, workers=cores, on_progress=update
            )
        else:
            raise ConfigError("give PREDICTIONS and --out to write a zip, or --check ZIP alone to check one")
    if as_json:
        print_json(asdict(made) | {"path": str(made.path)})
    tell_submission(made, written=check is None)
    raise typer.Exit(1 if made.faults else 0)


def tell_submission(made: "Submission", *, written: bool) -> None:
    """What was found in a zip that was to be `written`, or was there."""
    for note in made.notes:
        say(f"note: {note}")
    list_some("left out of the zip", made.left_out)
    for fault in made.faults:
        say(f"fault: {fault.kind}: {fault.first} ({fault.count} in all); {fault.remedy}")
    if made.faults:
        say(f"{made.path} is {'not written' if written else 'not ready'}: {len(made.faults)} kinds of fault")
    else:
        say(f"{made.masks} masks without fault: {made.path}")
