"""VD-IT's four feature levels: what its head reads."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from vdprobe.models.unet3d.taps import VDIT_LEVELS


def merge_levels(taps: Mapping[str, Float[Tensor, "F _ _ _"]]) -> list[Float[Tensor, "F _ _ _"]]:
    """Levels at strides 4, 8, 16, 32: encoder and decoder taps of a stride, channels side by side.

    The decoder upsamples to its skip connections' sizes, so the two agree for odd sizes too.
    """
    return [torch.cat([taps[name] for name in names], dim=-3) for names in VDIT_LEVELS]
