"""VD-IT's four feature levels: what its head reads."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from vdprobe.diffusion.taps import VDIT_LEVELS


def merge_levels(taps: Mapping[str, Float[Tensor, "F _ _ _"]]) -> list[Float[Tensor, "F _ _ _"]]:
    """Levels at strides 4, 8, 16, 32: encoder and decoder taps of a stride, channels side by side.

    Where an odd size makes the encoder's map one larger, its last row or column is cut, as the
    official code does.
    """
    levels = []
    for names in VDIT_LEVELS:
        height, width = taps[names[-1]].shape[-2:]
        levels.append(torch.cat([taps[name][..., :height, :width] for name in names], dim=-3))
    return levels
