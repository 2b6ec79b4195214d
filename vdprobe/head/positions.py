"""Which places are padding, and sine encodings of where a place is (official position_encoding.py).

Shape letters: N frames of all clips, B clips, L words, D width.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from vdprobe.errors import ModelError

TEMPERATURE, EPSILON = 10000.0, 1e-6


def padding_masks(
    sizes: Sequence[tuple[int, int]], padded: tuple[int, int], shapes: Sequence[tuple[int, int]], device: torch.device
) -> list[Bool[Tensor, "B _ _"]]:
    """For each of the grids `shapes`, True where a place lies outside the picture of its clip.

    - `sizes`: (height, width) of each clip's picture, in pixels, at the top left of the `padded` frames.

    Raises `ModelError` for a picture larger than the frames.
    """
    outside = torch.ones(len(sizes), *padded, device=device)
    for mask, (height, width) in zip(outside, sizes, strict=True):
        if not (0 < height <= padded[0] and 0 < width <= padded[1]):
            raise ModelError(
                f"a picture of {height}x{width} pixels does not fit into frames of {padded[0]}x{padded[1]}; give the "
                "(height, width) before padding"
            )
        mask[:height, :width] = 0
    return [functional.interpolate(outside[None], size=shape)[0] > 0 for shape in shapes]


def valid_shares(padding: Bool[Tensor, "N H W"]) -> Float[Tensor, "N 2"]:
    """The shares (of the width, of the height) that are picture."""
    return torch.stack([(~padding[:, 0]).float().mean(1), (~padding[:, :, 0]).float().mean(1)], dim=-1)


def grid_positions(padding: Bool[Tensor, "N H W"], width: int) -> Float[Tensor, "N D H W"]:
    """Half of the channels for the row, half for the column; the picture goes from 0 to 2 pi."""
    valid = (~padding).float()
    rows, columns = valid.cumsum(1), valid.cumsum(2)
    rows = (rows - 0.5) / (rows[:, -1:] + EPSILON)
    columns = (columns - 0.5) / (columns[:, :, -1:] + EPSILON)
    return torch.cat([_sines(rows, width // 2), _sines(columns, width // 2)], dim=-1).movedim(-1, 1)


def word_positions(padding: Bool[Tensor, "B L"], width: int) -> Float[Tensor, "B L D"]:
    """The last word is at 2 pi."""
    places = (~padding).float().cumsum(1)
    return _sines(places / (places[:, -1:] + EPSILON), width)


def _sines(turns: Float[Tensor, "*place"], width: int) -> Float[Tensor, "*place D"]:
    """Sines and cosines by turns, at frequencies that fall from 1 to 1 / TEMPERATURE."""
    exponents = torch.arange(0, width, 2, dtype=torch.float32, device=turns.device) / width
    angles = (turns * (2 * math.pi))[..., None] / TEMPERATURE**exponents
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
