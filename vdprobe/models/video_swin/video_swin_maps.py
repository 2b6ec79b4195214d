"""A loaded Video Swin: from a clip to the maps of its stages.

Shape letters: F frames, H W height and width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from vdprobe.data.resize import pad_frames
from vdprobe.models.frames_alone import FrameMaps
from vdprobe.models.networks.colours import Colours
from vdprobe.models.video_swin.stages import STRIDES, padded_to
from vdprobe.models.video_swin.video_swin_network import stage_maps

COLOURS = Colours(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""As all of torchvision's weights want them (`Swin3D_T_Weights` and the others)."""


@dataclass(frozen=True)
class VideoSwinMaps(FrameMaps):
    """The maps of `taps`; a clip goes through the network as a whole, as each frame sees those around it."""

    network: nn.Module
    taps: tuple[str, ...]
    dtype: torch.dtype
    device: torch.device

    def __call__(self, pixels: Float32[np.ndarray, "F 3 H W"]) -> dict[str, Float[Tensor, "F _ _ _"]]:
        """The map of each tap, of the frames of a clip in [-1, 1]."""
        padded = pad_frames(pixels, *padded_to(*pixels.shape[2:]))
        frames = COLOURS(torch.from_numpy(padded).to(self.device)).to(self.dtype)
        return stage_maps(self.network, frames, self.taps)

    def strides(self, height: int, width: int) -> Mapping[str, int]:
        """Pixels per place of each tap, whatever the frames' size."""
        return {tap: STRIDES[tap] for tap in self.taps}

    def attrs(self, height: int, width: int) -> dict[str, Any]:
        """`model_frame_size`: the (height, width) that the network saw."""
        return {"model_frame_size": list(padded_to(height, width))}
