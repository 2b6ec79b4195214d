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
    ours, theirs = _boundary(prediction[window], radius), _boundary(truth[window], radius)
    our_length, their_length = _count(ours), _count(theirs)
    if not our_length or not their_length:
        return float(our_length == their_length)
    precision = _count(ours & _dilate(theirs, radius)) / our_length
    recall = _count(theirs & _dilate(ours, radius)) / their_length
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _window(mask: np.ndarray) -> tuple[slice, slice]:
    """The mask's bounding box and one pixel around it, where its boundary may run; one pixel for no mask."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return slice(1), slice(1)
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(columns[0] - 1, 0), columns[-1] + 2)


def _boundary(mask: np.ndarray, margin: int) -> np.ndarray:
    """Pixels that differ from the one to the right, below, or both (seg2bmap), 64 to a word: uint64 (H, words).

    At least `margin` empty pixels follow those of a row, for `_dilate`.
    """
    height, width = mask.shape
    pixels = np.zeros((height + 1, (width + margin + 63) // 64 * 8), dtype=np.uint8)
    pixels[:height, : (width + 7) // 8] = np.packbits(mask, axis=1, bitorder="little")
    # the border is repeated, hence differs from nothing: here the last row, below the last column
    pixels[height] = pixels[height - 1]
    here = pixels.view(np.dtype("<u8"))
    right = here >> 1
    right[:, :-1] |= here[:, 1:] << 63
    word, bit = divmod(width - 1, 64)
    right[:, word] |= here[:, word] & np.uint64(1 << bit)
    either, both = here | right, here & right
    return (either[:-1] | either[1:]) ^ (both[:-1] & both[1:])


def _count(words: np.ndarray) -> int:
    return int(np.bitwise_count(words).sum())


def _dilate(words: np.ndarray, radius: int) -> np.ndarray:
    """Every pixel within `radius` of a set one, and some in the margin.

    One row of words after the other: what leaves a row enters the margin beside it and no pixel, as nothing goes
    further than `radius`.
    """
    run, reach, row = words.ravel(), 0, words.shape[1]
    grown = np.zeros_like(run)
    for dy in range(min(radius, len(words) - 1), -1, -1):
        # the disk's rows at -dy and dy, which reach this far to both sides: further, nearer to the centre
        while reach < (goal := isqrt(radius**2 - dy**2)):
            step = min(2 * reach + 1, goal - reach, 63)
            run, reach = _widen(run, step), reach + step
        grown[dy * row :] |= run[: run.size - dy * row]
        grown[: run.size - dy * row] |= run[dy * row :]
    return grown.reshape(words.shape)


def _widen(run: np.ndarray, step: int) -> np.ndarray:
    """Every set pixel also `step` to its left and to its right."""
    wide = run | run << step | run >> step
    wide[1:] |= run[:-1] >> 64 - step
    wide[:-1] |= run[1:] << 64 - step
    return wide
