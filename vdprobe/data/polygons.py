"""Polygons to pixels by COCO's rule, which no general library follows.

Published scores of RefCOCO are against masks that pycocotools filled. It does not ask for the pixel centres inside:
it walks the outline on a grid five times as fine and rounds twice. Pillow's ImageDraw, which paints the outline too,
differs from it in a rim of pixels: IoU 0.95 with it on objects of 40 pixels (`tests/data/test_rle.py`), as much as
what `P@0.9` tells apart. So the rule is followed here, to the pixel (facts from rleFrPoly in cocodataset/cocoapi).
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64

FINE = 5
"""Steps of the fine grid a pixel."""


def fill_polygon(points: Float64[np.ndarray, "corners 2"], size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    """The pixels inside a polygon of corners (x, y) in a picture of `size` (height, width)."""
    height, width = size
    corners = np.trunc(points * FINE + 0.5).astype(np.int64)
    outline = np.concatenate([_walk(a, b) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)])
    # Where the outline passes the middle of a column of pixels, the column changes from there on downwards.
    before, after = outline[:-1], outline[1:]
    x = (np.minimum(before[:, 0], after[:, 0]) + 0.5) / FINE - 0.5
    y = np.clip((np.minimum(before[:, 1], after[:, 1]) + 0.5) / FINE - 0.5, 0, height)
    passes = (before[:, 0] != after[:, 0]) & (x == np.floor(x)) & (x >= 0) & (x <= width - 1)
    places = (x[passes] * height + np.ceil(y[passes])).astype(np.int64)
    changes = np.bincount(places, minlength=height * width + 1)[: height * width]
    return (np.cumsum(changes) % 2 == 1).reshape(width, height).T


def _walk(a: Int64[np.ndarray, "2"], b: Int64[np.ndarray, "2"]) -> Int64[np.ndarray, "steps 2"]:
    """The points of the fine grid from `a` to `b`: every step along the longer side, the other side rounded."""
    far = np.abs(b - a)
    long = 0 if far[0] >= far[1] else 1
    # the slope is taken from the lower end, whichever way the edge runs: rounding depends on it
    low, high = (a, b) if a[long] <= b[long] else (b, a)
    steps = np.arange(far[long] + 1)
    slope = (high[1 - long] - low[1 - long]) / max(int(far[long]), 1)
    out = np.empty((len(steps), 2), dtype=np.int64)
    out[:, long] = low[long] + steps
    out[:, 1 - long] = np.trunc(low[1 - long] + slope * steps + 0.5)
    return out if low is a else out[::-1]
