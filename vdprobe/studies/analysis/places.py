"""Which object each place of a feature grid shows, and what the expressions of a clip mean there."""

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Int16

from vdprobe.analyses.probes import cell_labels
from vdprobe.data.video import Failure
from vdprobe.extraction.clip_work import ClipWork
from vdprobe.specs.video import Resize
from vdprobe.store.item import StoredItem
from vdprobe.studies.analysis.cells import Cell
from vdprobe.studies.analysis.samples import Sample, samples_of, together

KNOWN = 8192
"""Grids of clips that are remembered, for the cells that share them: a few KB each."""


@dataclass(frozen=True)
class Meaning:
    """An expression and the numbers of the objects that it means; one without a text means all that any does."""

    expression: str
    text: str | None
    targets: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Places:
    """The places of a clip on one grid.

    - `shape`: frames, height and width; `packed`: `labels`, compressed, as many are kept and nearly all repeat.
    - `meanings`: of the expressions that mean an object of the clip; `whole`: of all of them as one.
    """

    objects: tuple[str, ...]
    shape: tuple[int, int, int]
    packed: bytes
    meanings: tuple[Meaning, ...]
    whole: Meaning

    @property
    def labels(self) -> Int16[np.ndarray, "F h w"]:
        """k + 1 where `objects[k]` fills more than half of a place, 0 where the background does, -1 elsewhere and in
        the padding.
        """
        return np.frombuffer(zlib.decompress(self.packed), np.int16).reshape(self.shape)

    def of(self, cell: Cell) -> tuple[Meaning, ...]:
        """Those with features of their own in a cell."""
        return self.meanings if cell.spec.uses_text else (self.whole,)


def find_places(cell: Cell, clip: ClipWork, item: StoredItem) -> tuple[Places | None, tuple[Failure, ...]]:
    """The places of a cell's features of a clip, None where no expression means anything in it; and what fails."""
    stride, features = cell.look(item)
    height, width = features.shape[2:]
    frame_height, frame_width = item.attrs["frame_size"]
    grid, frame = (height, width), (frame_height, frame_width)
    return _find(clip, cell.spec.resize, cell.frames(item), grid, stride, frame)


@lru_cache(maxsize=KNOWN)
def _find(
    clip: ClipWork,
    resize: Resize,
    frames: tuple[int, ...],
    grid: tuple[int, int],
    stride: int,
    frame: tuple[int, int],
) -> tuple[Places | None, tuple[Failure, ...]]:
    samples, failures = samples_of(clip, resize)
    if not samples:
        return None, tuple(failures)
    numbers = {name: number for number, name in enumerate(samples[0].objects.masks, start=1)}

    def meaning(sample: Sample) -> Meaning:
        targets = tuple(numbers[name] for name in sample.targets if name in numbers)
        return Meaning(sample.expression, sample.text, targets)

    labels = np.full((len(frames), grid[0] * stride, grid[1] * stride), -1, dtype=np.int64)
    height, width = (min(sides) for sides in zip(frame, labels.shape[1:], strict=True))
    labels[:, :height, :width] = samples[0].objects.labels()[list(frames), :height, :width]
    (whole,) = together(samples)
    shape = (len(frames), *grid)
    packed = zlib.compress(cell_labels(labels, grid).astype(np.int16).tobytes(), level=1)
    return Places(tuple(numbers), shape, packed, tuple(map(meaning, samples)), meaning(whole)), tuple(failures)
