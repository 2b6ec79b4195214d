"""Squares of pixels as features.

Shape letters: F frames, H W height and width, C channels, h w places.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional

from vdprobe.data.resize import pad_frames
from vdprobe.errors import DataError
from vdprobe.models.frames_alone import FrameMaps


def patches(pixels: Float[Tensor, "F 3 H W"], size: int) -> Float[Tensor, "F C h w"]:
    """The values of each square of `size` x `size` pixels as its channels: red first, row by row.

    Raises `DataError` when the sides are no multiple of `size`.
    """
    height, width = pixels.shape[2:]
    if height % size or width % size:
        raise DataError(f"frames of {width}x{height} pixels do not divide into patches of {size}; resize or crop them")
    return functional.pixel_unshuffle(pixels, size)


@dataclass(frozen=True)
class PixelMaps(FrameMaps):
    """Patches of each tap's `size`, of frames that are padded to a multiple of it."""

    sizes: Mapping[str, int]
    dtype: torch.dtype
    device: torch.device

    def __call__(self, pixels: Float32[np.ndarray, "F 3 H W"]) -> dict[str, Float[Tensor, "F _ _ _"]]:
        """The patches of each tap, of frames in [-1, 1]."""
        height, width = pixels.shape[2:]
        padded = {
            tap: pad_frames(pixels, -(-height // size) * size, -(-width // size) * size)
            for tap, size in self.sizes.items()
        }
        return {
            tap: patches(torch.from_numpy(padded[tap]).to(self.device, self.dtype), size)
            for tap, size in self.sizes.items()
        }

    def strides(self, height: int, width: int) -> Mapping[str, int]:
        """The sizes, whatever the frames'."""
        return self.sizes

    def attrs(self, height: int, width: int) -> dict[str, Any]:
        """Nothing that the strides do not tell."""
        return {}
