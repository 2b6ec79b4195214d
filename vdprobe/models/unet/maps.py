"""What modules of a video UNet give, as one feature map for each frame.

Shape letters: E expressions, F frames, h w height and width of the latents, r c rows and columns of a tap.
"""

import re
from typing import Any

from jaxtyping import Float
from torch import Tensor

from vdprobe.errors import FeatureError
from vdprobe.models.networks.tapped import TapPoint, first_of, joined_heads
from vdprobe.models.unet.taps import head_of

TEMPORAL = re.compile(r"temp_|temporal|motion_modules|transformer_in")
"""Modules inside of which tokens are sequences over time, which may be as many as frames have places."""


def level_sizes(size: tuple[int, int], blocks: int) -> list[tuple[int, int]]:
    """(rows, columns) at each depth of a UNet; odd sizes are halved upwards."""
    sizes = [size]
    for _ in range(blocks - 1):
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


def frame_maps(
    tap: str, point: TapPoint, value: Any, *, batch: int, frames: int, sizes: list[tuple[int, int]]
) -> Float[Tensor, "E F _ r c"]:
    """The maps of what a module gave in a forward of `batch` clips. Raises `FeatureError` for what is no map."""
    found = first_of(value)
    if not isinstance(found, Tensor):
        raise FeatureError(f"tap '{tap}' yields {type(found).__name__}, which is no map; tap the block around it")
    rows = batch * frames
    if point.kind != "output" and found.ndim == 4:
        if (head := head_of(tap)) is not None:
            found = found[:, head : head + 1]
        found = joined_heads(found)
    places = {r * c: (r, c) for r, c in sizes}
    if found.ndim == 5 and (found.shape[0], found.shape[2]) == (batch, frames) and found.shape[3:] in sizes:
        return found.transpose(1, 2)
    if found.ndim == 4 and found.shape[0] == rows and found.shape[2:] in sizes:
        return found.unflatten(0, (batch, frames))
    if found.ndim == 3 and found.shape[0] == rows and found.shape[1] in places and not TEMPORAL.search(point.path):
        return found.transpose(1, 2).unflatten(2, places[found.shape[1]]).unflatten(0, (batch, frames))
    raise FeatureError(
        f"tap '{tap}' yields shape {tuple(found.shape)}, which is no map over {frames} frames and "
        f"{sizes[0][0]}x{sizes[0][1]} places or halves of them; tap the module around it"
    )
