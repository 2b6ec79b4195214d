"""Raw pixels as features: what any model must beat.

Shape letters: F frames, H W height and width, C channels, h w places.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from vdprobe.models.frames_alone import FrameMaps, FrameModel
from vdprobe.specs.features import ComputeDtype, ModelIdentity
from vdprobe.specs.layer import Layer

PIXELS = "pixels"
"""The name of this control where a model is asked for."""
TAPS = {f"{PIXELS}.{size}": size for size in (4, 8, 16, 32)}
"""Tap to the side of its patches: the strides of VD-IT's four levels."""
VERSION = "patches of RGB values in [-1, 1], 1"
"""Changed whenever the same frames would give other values than before."""


@dataclass(frozen=True)
class Pixels(FrameModel):
    """The control `pixels`. Padding that patches need beyond that of the frames has the same colour."""

    name: str = PIXELS
    taps: tuple[str, ...] = tuple(TAPS)
    default_taps: tuple[str, ...] = tuple(TAPS)

    def identity(self) -> ModelIdentity:
        """Its version: there are no weights."""
        return ModelIdentity(name=self.name, parts={PIXELS: hashlib.sha256(VERSION.encode()).hexdigest()})

    def describe(self, taps: Sequence[str], *, frames: int, height: int, width: int) -> list[Layer]:
        """`taps` of frames of `height` x `width` pixels."""
        sizes = [(tap, TAPS[tap]) for tap in taps]
        return [
            Layer.of(tap, (frames, 3 * size * size, -(-height // size), -(-width // size)), size) for tap, size in sizes
        ]

    def maps(self, taps: Sequence[str], dtype: ComputeDtype, device: str) -> FrameMaps:
        """The patches; nothing is read."""
        from vdprobe.models.networks.device import DTYPES, pick_device
        from vdprobe.models.pixels.patches import PixelMaps

        return PixelMaps({tap: TAPS[tap] for tap in taps}, DTYPES[dtype], pick_device(device))


def find_pixels(name: str) -> Pixels:
    """The control `pixels`."""
    return Pixels(name)
