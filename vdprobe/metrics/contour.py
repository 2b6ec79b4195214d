"""Contour accuracy F: how well the boundaries of two masks meet, within a tolerance."""

from math import ceil, hypot, isqrt

import numpy as np
from jaxtyping import Bool, Float64

TOLERANCE = 0.008
"""Of the frame's diagonal: 8 pixels at 480x854."""


def contour_accuracy(
    prediction: Bool[np.ndarray, "T H W"],
    truth: Bool[np.ndarray, "T H W"],
    void: Bool[np.ndarray, "T H W"] | None = None,
) -> Float64[np.ndarray, " T"]:
    """Harmonic mean of boundary precision and recall of each frame, in [0, 1].

    A boundary pixel is right when the other boundary passes within the tolerance, rounded up to whole
    pixels. Two masks without a boundary score 1, one without and one with score 0. The frame's border is
    no boundary, so a mask that fills the frame has none: against an empty one it scores 1 (J tells them
    apart). `void` pixels are background in both masks. Values are those of davis2017-evaluation
    (Perazzi et al. 2016).
    """
    if void is not None:
        prediction, truth = prediction & ~void, truth & ~void
    radius = ceil(TOLERANCE * hypot(*prediction.shape[1:]))
    return np.array([_meeting(*pair, radius) for pair in zip(prediction, truth, strict=True)], dtype=np.float64)


def _meeting(prediction: np.ndarray, truth: np.ndarray, radius: int) -> float:
    window = _window(prediction | truth)
    prediction, truth = prediction[window], truth[window]
    stride = prediction.shape[1] + radius
    ours, theirs = _boundary(prediction, stride), _boundary(truth, stride)
    if not ours or not theirs:
        return float(ours == theirs)
    precision = (ours & _dilate(theirs, radius, stride)).bit_count() / ours.bit_count()
    recall = (theirs & _dilate(ours, radius, stride)).bit_count() / theirs.bit_count()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _window(mask: np.ndarray) -> tuple[slice, slice]:
    """The mask's bounding box and one pixel around it, where its boundary may run; one pixel for no mask."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return slice(1), slice(1)
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(columns[0] - 1, 0), columns[-1] + 2)


def _boundary(mask: np.ndarray, stride: int) -> int:
    """Pixels that differ from the one to the right, below, or both (seg2bmap), as bits of one integer.

    Python shifts and joins such an integer faster than numpy does bytes. Rows begin every `stride` bits,
    and the bits between them are empty: what is shifted out of a row does not enter the next.
    """
    height, width = mask.shape
    grid = np.zeros((height + 2, stride), dtype=bool)
    grid[:height, :width] = mask
    # the border is repeated, hence differs from nothing
    grid[height] = grid[height - 1]
    grid[:, width] = grid[:, width - 1]
    pixels, size = grid.ravel(), height * stride  # one row of pixels after the other: neighbours are slices
    here, right, below, both = (pixels[start : start + size] for start in (0, 1, stride, stride + 1))
    boundary = (here ^ right) | (here ^ below) | (here ^ both)
    boundary.reshape(height, stride)[:, width:] = False
    return int.from_bytes(np.packbits(boundary, bitorder="little").tobytes(), "little")


def _dilate(bits: int, radius: int, stride: int) -> int:
    """Every pixel within `radius` of a set one, and some outside the picture."""
    grown, run, length = 0, bits, 1
    for dy in range(radius, -1, -1):
        # the disk's rows at -dy and dy, which reach this far to both sides: further, nearer to the centre
        reach = isqrt(radius**2 - dy**2)
        while length < 2 * reach + 1:
            step = min(length, 2 * reach + 1 - length)
            run |= run << step
            length += step
        # all of it `radius` rows further down, so that nothing is shifted off the front before the end
        grown |= run << (radius - dy) * stride - reach | run << (radius + dy) * stride - reach
    return grown >> radius * stride
