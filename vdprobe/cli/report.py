"""`vdprobe report`: a study or an analysis as one file that can be sent."""

from pathlib import Path
from typing import Annotated

import typer

from vdprobe.cli.output import human_bytes


def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of `vdprobe run` or `vdprobe analyze`.")],
    out: Annotated[
        Path | None, typer.Option(help="Another .html file than report.html in RUN.", show_default=False)
    ] = None,
) -> None:
    """Write one self-contained HTML of a study or an analysis: tables, figures, what lacks, how it was made."""
    from vdprobe.studies.report.write import report_folder

    path = report_folder(folder, out)
    typer.echo(f"{path}  {human_bytes(path.stat().st_size)}")
