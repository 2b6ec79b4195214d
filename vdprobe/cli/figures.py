"""`vdprobe figures`: draw the figures of an analysis again, from its tables alone."""

from pathlib import Path
from typing import Annotated

import typer

from vdprobe.cli.options import Json
from vdprobe.cli.output import print_json


def figures(
    folder: Annotated[Path, typer.Argument(help="Folder of `vdprobe analyze`.")],
    out: Annotated[
        Path | None, typer.Option(help="Another folder for the figures than the one in FOLDER.", show_default=False)
    ] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="What is shown, such as --set shown.tap=unet.up.1.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw figures again: PDF, PNG, and the CSV beside each. Neither model nor store is needed."""
    from vdprobe.specs.load import parse_assignments
    from vdprobe.studies.analysis.redraw import redraw

    paths = redraw(folder, out, parse_assignments(assignments or ()))
    if as_json:
        print_json([str(path) for path in paths])
        return
    for path in paths:
        typer.echo(f"{path}")
