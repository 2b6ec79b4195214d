"""Raw pixels as features: what any model must beat.

Shape letters: F frames, H W height and width, C channels, h w places.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vdprobe.specs.features import ModelIdentity
from vdprobe.specs.layer import Layer

if TYPE_CHECKING:
    import torch

    from vdprobe.controls.patches import PixelMaps

PIXELS = "pixels"
"""The name of this control where a model is asked for."""
TAPS = {f"{PIXELS}.{size}": size for size in (4, 8, 16, 32)}
"""Tap to the side of its patches: the strides of VD-IT's four levels."""
VERSION = "patches of RGB values in [-1, 1], 1"
"""Changed whenever the same frames would give other values than before."""


@dataclass(frozen=True)
class Pixels:
    """The control `pixels`. Padding that patches need beyond that of the frames has the same colour."""

    name: str = PIXELS
    taps: tuple[str, ...] = tuple(TAPS)
    default_taps: tuple[str, ...] = tuple(TAPS)
    notes: tuple[str, ...] = ()

    def identity(self) -> ModelIdentity:
        """Its version: there are no weights."""
        return ModelIdentity(name=self.name, parts={PIXELS: hashlib.sha256(VERSION.encode()).hexdigest()})

    def layers(self, taps: Sequence[str], *, frames: int, height: int, width: int) -> list[Layer]:
        """`taps` of frames of `height` x `width` pixels."""
        sizes = [(tap, TAPS[tap]) for tap in taps]
        return [
            Layer.of(tap, (frames, 3 * size * size, -(-height // size), -(-width // size)), size) for tap, size in sizes
        ]

    def load(self, taps: Sequence[str], dtype: "torch.dtype", device: "torch.device") -> "PixelMaps":
        """Nothing is read."""
        from vdprobe.controls.patches import PixelMaps

        return PixelMaps({tap: TAPS[tap] for tap in taps}, dtype, device)
