"""A label carried through a clip, from the frame it is given in both ways, by the likeness of features alone."""

import math

import numpy as np
from jaxtyping import Integer

from vdprobe.analyses.propagation import Propagation, propagate_labels
from vdprobe.look.decoded import DecodedClip
from vdprobe.look.geometry import Grid

DISC = 1.5
"""Cells of the radius of what a click marks where no object is known."""


def carry_labels(
    clip: DecodedClip, given: Integer[np.ndarray, "H W"], frame: int, settings: Propagation | None = None
) -> Integer[np.ndarray, "F H W"]:
    """Labels of every frame, in video coordinates; those of `frame` are the `given` ones.

    Raises `DataError` where no object is given, or the labels have fewer pixels than the map has cells.
    """
    settings = settings or Propagation()
    height, width = given.shape
    under = _under(clip.grid, given)
    later = propagate_labels(clip.values[frame:], under, settings)
    earlier = propagate_labels(clip.values[: frame + 1].flip(0), under, settings)[:0:-1]
    carried = np.concatenate([earlier, later])[:, :height, :width]
    return carried[:, :, ::-1] if clip.grid.flip else carried


def disc(grid: Grid, x: float, y: float, size: tuple[int, int]) -> Integer[np.ndarray, "H W"]:
    """1 around a point (shares of the width and height), 0 elsewhere, in a mask of `size` (height, width)."""
    height, width = size
    radius = DISC * grid.stride / grid.width * width
    down, across = np.mgrid[:height, :width] + 0.5
    scale = (grid.stride / grid.height * height) / (grid.stride / grid.width * width)
    return (np.hypot(across - x * width, (down - y * height) / scale) <= radius).astype(np.int64)


def _under(grid: Grid, given: np.ndarray) -> np.ndarray:
    """Labels as the model saw the frame, with 0 where the map reaches into the padding."""
    seen = given[:, ::-1] if grid.flip else given
    down, across = grid.extent
    more = (math.ceil(seen.shape[0] * down) - seen.shape[0], math.ceil(seen.shape[1] * across) - seen.shape[1])
    return np.pad(seen.astype(np.int64), ((0, max(0, more[0])), (0, max(0, more[1]))))


def overlaps(carried: np.ndarray, truth: np.ndarray) -> list[float | None]:
    """The mean IoU over the objects that are carried, of each frame; None where none of them is in either."""
    objects = [label for label in np.unique(carried) if label]
    out: list[float | None] = []
    for mine, true in zip(carried, truth, strict=True):
        ious = []
        for label in objects:
            union = int(((mine == label) | (true == label)).sum())
            if union:
                ious.append(int(((mine == label) & (true == label)).sum()) / union)
        out.append(float(np.mean(ious)) if ious else None)
    return out
