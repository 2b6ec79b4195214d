"""`vdprobe layers`: every tap of a model."""

import dataclasses
from typing import Annotated

import typer

from vdprobe.cli import options as o
from vdprobe.cli.numbers import whole
from vdprobe.cli.output import human_bytes, print_json, print_table, say


def layers(
    model: Annotated[str, typer.Argument(help=o.MODELS)],
    frames: Annotated[int, whole("Frames in a clip.", least=1)] = 5,
    height: Annotated[int, whole("Height of the padded frames.", least=64)] = 256,
    width: Annotated[int, whole("Width of the padded frames.", least=64)] = 448,
    every_step: Annotated[bool, typer.Option("--all", help="Also the layers inside the blocks.")] = False,
    as_json: o.Json = False,
) -> None:
    """Taps with shape, stride, bytes a clip (float16) and the share of the UNet's work done when reached.

    Reads configurations only, no weights. Any module path below those of a pipeline is a tap too.
    """
    from vdprobe.models.registry import find_model

    found = find_model(model)
    rows = found.layers(frames=frames, height=height, width=width, every_step=every_step)
    for note in found.notes:
        say(f"note: {note}")
    if as_json:
        print_json([dataclasses.asdict(row) for row in rows])
        return
    print_table(
        ("tap", "frame x channel x height x width", "stride", "bytes", "work done"),
        [
            (
                row.tap,
                " x ".join(map(str, row.shape)),
                row.stride,
                human_bytes(row.bytes),
                "-" if row.reached is None else f"{row.reached:.1%}",
            )
            for row in rows
        ],
    )
