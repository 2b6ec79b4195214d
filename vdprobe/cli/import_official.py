"""`vdprobe import-official`: the trained parts of an official VD-IT checkpoint."""

from pathlib import Path
from typing import Annotated

import typer

from vdprobe.cli.options import Json
from vdprobe.cli.output import print_json


def import_official(
    file: Annotated[Path, typer.Argument(help="Official checkpoint (.pth), or its state dict as .safetensors.")],
    out: Annotated[Path, typer.Option(help="Folder for adapter.safetensors, head.safetensors and head.json.")],
    as_json: Json = False,
) -> None:
    """Reads a checkpoint of the official VD-IT code: the adapter for `--adapter`, and the segmentation head.

    No code in the file is run. Every tensor is accounted for, or the import fails.
    """
    from vdprobe.head.official_checkpoint import import_official

    made = import_official(file, out)
    if as_json:
        print_json({key: value if isinstance(value, int) else str(value) for key, value in vars(made).items()})
        return
    typer.echo(f"{made.adapter}  {made.adapter_parameters:,} parameters")
    typer.echo(f"{made.head}  {made.head_parameters:,} parameters, sizes in {made.config.name}")
