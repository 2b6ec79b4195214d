"""A loaded vision model: from frames to its hidden states as feature maps.

Shape letters: F frames, H W height and width.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional
from transformers import AutoImageProcessor

from vdprobe.data.model_files import from_pretrained
from vdprobe.data.resize import pad_frames
from vdprobe.errors import ModelError
from vdprobe.models.frames_alone import FrameMaps
from vdprobe.models.networks.colours import Colours
from vdprobe.models.vision.geometry import Geometry
from vdprobe.models.vision.vision_network import VisionNetwork

FRAMES_AT_ONCE = {"cpu": 8, "cuda": 32}
"""Frames of a forward. Fixed, so that values cannot depend on a batch size."""


@dataclass(frozen=True)
class VisionMaps(FrameMaps):
    """The maps of `taps`; frames are padded, and scaled for a model of one size, as its geometry says."""

    network: VisionNetwork
    geometry: Geometry
    colours: Colours
    taps: tuple[str, ...]
    dtype: torch.dtype
    device: torch.device

    def __call__(self, pixels: Float32[np.ndarray, "F 3 H W"]) -> dict[str, Float[Tensor, "F _ _ _"]]:
        """The map of each tap, of frames in [-1, 1]."""
        fitted = self.geometry.fit(*pixels.shape[2:])
        ready = torch.from_numpy(pad_frames(pixels, fitted.height, fitted.width)).to(self.device)
        if (side := self.geometry.side) is not None:
            ready = functional.interpolate(ready, size=(side, side), mode="bilinear", antialias=True)
        ready = self.colours(ready).to(self.dtype)
        chunks = [self.network(chunk) for chunk in ready.split(FRAMES_AT_ONCE[_kind(self.device)])]
        places = {tap: int(tap.rpartition(".")[2]) for tap in self.taps}
        return {tap: torch.cat([chunk[place] for chunk in chunks]) for tap, place in places.items()}

    def strides(self, height: int, width: int) -> Mapping[str, int]:
        """Pixels per place of each tap, before any scaling."""
        return self.geometry.fit(height, width).strides

    def attrs(self, height: int, width: int) -> dict[str, Any]:
        """`model_frame_size`: (height, width) of the frames that the model itself saw."""
        fitted, side = self.geometry.fit(height, width), self.geometry.side
        return {"model_frame_size": [fitted.height, fitted.width] if side is None else [side, side]}


def read_colours(folder: Path, name: str) -> Colours:
    """How the image processor of model `name` normalises colours.

    Raises `ModelError` for a processor that is torn, or does anything else to them.
    """
    processor = from_pretrained(AutoImageProcessor, folder, f"the image processor of model '{name}'")
    if getattr(processor, "do_flip_channel_order", False):
        raise ModelError(f"model '{name}' wants blue before red, which is not done here; take another model")
    scale = processor.rescale_factor if getattr(processor, "do_rescale", True) else 1.0
    normalise = getattr(processor, "do_normalize", False)
    mean, std = (processor.image_mean, processor.image_std) if normalise else ((0.0,) * 3, (1.0,) * 3)
    values = [scale, *mean, *std] if isinstance(mean, list | tuple) and isinstance(std, list | tuple) else []
    numbers = all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    if not numbers or len(values) != 7 or min(values[4:]) <= 0:
        raise ModelError(
            f"the image processor of model '{name}' scales colours by {scale!r}, mean {mean!r} and deviation "
            f"{std!r}: they must be one number, three numbers, and three numbers above 0"
        )
    return Colours(float(scale), tuple(mean), tuple(std))


def _kind(device: torch.device) -> str:
    return "cuda" if device.type == "cuda" else "cpu"
