"""The masks of a clip's objects, as all its samples and all cells on a grid share them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

GRIDS = 8
"""Grids of a clip for which measures remember what they made of its masks; a model's taps have fewer strides."""


@dataclass(frozen=True, eq=False)
class ObjectMasks:
    """The mask of every object of a clip, at the size of the resized and padded frames. Equal to itself alone."""

    masks: Mapping[str, Bool[np.ndarray, "F H W"]]

    def labels(self) -> UInt8[np.ndarray, "F H W"]:
        """The number of the object of each pixel, from 1 on in the order of `masks`; where several are, the last."""
        out = np.zeros(next(iter(self.masks.values())).shape, dtype=np.uint8)
        for number, mask in enumerate(self.masks.values(), start=1):
            out[mask] = number
        return out


@dataclass(frozen=True)
class ObjectGrid:
    """The objects of a clip under a grid of features: what caches of measures are keyed by.

    - `size`: (height, width) in cells of `stride` pixels.
    """

    objects: ObjectMasks
    size: tuple[int, int]
    stride: int

    def masks(self) -> dict[str, Bool[np.ndarray, "F Hm Wm"]]:
        """The masks of the pixels that the grid covers; none is where frames end before."""
        return {name: self._cover(mask) for name, mask in self.objects.masks.items()}

    def labels(self) -> UInt8[np.ndarray, "F Hm Wm"]:
        """The objects' labels of the same pixels."""
        return self._cover(self.objects.labels())

    def _cover(self, pixels: np.ndarray) -> np.ndarray:
        height, width = (side * self.stride for side in self.size)
        cut = pixels[:, :height, :width]
        return np.pad(cut, ((0, 0), (0, height - cut.shape[1]), (0, width - cut.shape[2])))
