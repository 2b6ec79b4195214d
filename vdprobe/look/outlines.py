"""Masks as lines: polygons that stay sharp at any size."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Integer

SCALE = 10_000
"""A side of the frame in the units of a polygon's corners: whole numbers are short to send."""
LONGEST = 480
"""Pixels of the longer side of masks that lines are drawn around."""

Outline = list[list[int]]
"""The polygons of an object in a frame, each as x, y, x, y, ..."""


def outlines(labels: Integer[np.ndarray, "F H W"], objects: Sequence[int]) -> list[list[Outline]]:
    """For each frame and object the polygons around it."""
    return [[_outline(frame == label) for label in objects] for frame in labels]


def shrunk(labels: Integer[np.ndarray, "F H W"], least: tuple[int, int] = (1, 1)) -> Integer[np.ndarray, "F _ _"]:
    """Labels at no more than `LONGEST` pixels a side, each the nearest; never fewer than `least` (rows, columns)."""
    height, width = labels.shape[1:]
    share = min(1.0, LONGEST / max(height, width))
    rows, columns = (min(side, max(round(side * share), few)) for side, few in zip((height, width), least, strict=True))
    down = ((np.arange(rows) + 0.5) * height / rows).astype(int)
    across = ((np.arange(columns) + 0.5) * width / columns).astype(int)
    return labels[:, down[:, None], across]


def _outline(mask: np.ndarray) -> Outline:
    if not mask.any():
        return []
    from contourpy import contour_generator

    height, width = mask.shape
    padded = np.pad(mask.astype(np.float32), 1)  # an object at the edge has a line along it
    lines = contour_generator(z=padded).lines(0.5)
    out: Outline = []
    for line in lines:
        corners = (np.asarray(line) - 0.5) / (width, height)
        out.append(np.rint(np.clip(corners, 0, 1) * SCALE).astype(int).ravel().tolist())
    return out
