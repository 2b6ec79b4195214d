"""A clip in memory, and what every question about its cosines needs."""

from collections.abc import Iterator
from functools import cached_property
from threading import RLock

import torch
from jaxtyping import Float
from torch import Tensor

from vdprobe.look.features import ClipFeatures

BLOCK = 64
"""Channels that are widened to float32 at once: of a large map still within a core's own cache."""


class DecodedClip:
    """The features of a clip, with what every question about their cosines needs; computed when first asked for.

    Features stay as they are stored, float16 mostly: a question widens them block by block, which takes less time
    than to read them as float32.
    """

    def __init__(self, features: ClipFeatures) -> None:
        self.grid = features.grid
        self.values: Float[Tensor, "F C h w"] = torch.from_numpy(features.values)
        self._lock = RLock()

    @property
    def nbytes(self) -> int:
        """Bytes of the features and of what is kept beside them."""
        places = self.values.numel() // self.values.shape[1]
        return self.values.numel() * self.values.element_size() + 8 * places + 4 * self.values.shape[1]

    def project(self, axes: Float[Tensor, "C k"]) -> Float[Tensor, "F P k"]:
        """The inner products of every place with each of the axes, in float32."""
        frames, _, rows, columns = self.values.shape
        out = torch.zeros(frames, rows * columns, axes.shape[1])
        for frame, start, block in self._blocks():
            out[frame].addmm_(block.T, axes[start : start + len(block)])
        return out

    @property
    def norms(self) -> Float[Tensor, "F P"]:
        """The length of every place's feature."""
        with self._lock:
            return self._norms

    @property
    def mean(self) -> Float[Tensor, " C"]:
        """The mean feature over all places."""
        with self._lock:
            return self._mean

    @property
    def centred_norms(self) -> Float[Tensor, "F P"]:
        """The length of every place's feature without the mean one."""
        with self._lock:
            return self._centred_norms

    def place(self, frame: int, row: int, column: int) -> Float[Tensor, " C"]:
        """The feature of one place, in float32."""
        return self.values[frame, :, row, column].float()

    @cached_property
    def _norms(self) -> Float[Tensor, "F P"]:
        return self._lengths(None)

    @cached_property
    def _centred_norms(self) -> Float[Tensor, "F P"]:
        return self._lengths(self._mean)

    @cached_property
    def _mean(self) -> Float[Tensor, " C"]:
        total = torch.zeros(self.values.shape[1], dtype=torch.float64)
        for _, start, block in self._blocks():
            total[start : start + len(block)] += block.sum(dim=1, dtype=torch.float64)
        return (total / (self.values.numel() // len(total))).float()

    def _lengths(self, minus: Float[Tensor, " C"] | None) -> Float[Tensor, "F P"]:
        frames, _, rows, columns = self.values.shape
        out = torch.zeros(frames, rows * columns)
        for frame, start, block in self._blocks():
            if minus is not None:
                block -= minus[start : start + len(block), None]
            out[frame] += block.square_().sum(dim=0)
        return out.sqrt_()

    def _blocks(self) -> Iterator[tuple[int, int, Tensor]]:
        """(frame, first channel, float32 values that the next block overwrites) of all of the features."""
        frames, channels, rows, columns = self.values.shape
        block = torch.empty(min(BLOCK, channels), rows, columns)
        for frame in range(frames):
            for start in range(0, channels, BLOCK):
                count = min(BLOCK, channels - start)
                block[:count].copy_(self.values[frame, start : start + count])
                yield frame, start, block[:count].view(count, -1)
