"""A loaded control: from frames to feature maps.

Shape letters: F frames, H W height and width.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor


@runtime_checkable
class FrameMaps(Protocol):
    """Gives the maps of the taps that it was loaded with."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def __call__(self, pixels: Float32[np.ndarray, "F 3 H W"]) -> dict[str, Float[Tensor, "F _ _ _"]]:
        """The map of each tap, of the frames of a clip in [-1, 1]."""

    def strides(self, height: int, width: int) -> Mapping[str, int]:
        """Pixels per place of each tap, for frames of `height` x `width` pixels."""

    def attrs(self, height: int, width: int) -> dict[str, Any]:
        """What to keep with features of such frames."""
