"""Do masks of a video flicker? How much their IoU changes from frame to frame: Table E of VD-IT."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from vdprobe.errors import ConfigError, DataError
from vdprobe.metrics.region import region_similarity

GAPS = (1, 5)
"""Frames apart, as in the paper."""


@dataclass(frozen=True)
class IoUDifference:
    """Of one object, in points of 100: 0 is a mask that is equally good in all frames, be it bad.

    - `pairs`: of frames that lie `gap` apart.
    - `absent`: frames of the video that do not show the object in truth.
    """

    gap: int
    difference: float
    pairs: int
    absent: int


def iou_differences(
    prediction: Bool[np.ndarray, "T H W"], truth: Bool[np.ndarray, "_ _ _"], gaps: tuple[int, ...] = GAPS
) -> tuple[IoUDifference, ...]:
    """The mean of |IoU_t - IoU_(t+gap)| x 100 over the frames t of a video, for each gap.

    The paper names the quantity, not its formula; this is its plain reading. A frame without the object
    in truth follows J: 1 where the prediction is empty too, else 0. Raises `DataError` when the shapes
    differ or a gap has no pair of frames, `ConfigError` for a gap below 1.
    """
    if prediction.shape != truth.shape:
        raise DataError(f"masks are {prediction.shape}, the truth is {truth.shape}; bring both to the video's size")
    if min(gaps, default=1) < 1:
        raise ConfigError(f"gaps {gaps} make no sense: each must be at least 1 frame")
    if max(gaps, default=0) >= len(truth):
        raise DataError(f"no two of {len(truth)} frames are {max(gaps)} apart; give a longer video or smaller gaps")
    iou = region_similarity(prediction, truth)
    absent = int((~truth.any(axis=(1, 2))).sum())
    return tuple(IoUDifference(gap, mean_difference(iou, gap), len(iou) - gap, absent) for gap in gaps)


def mean_difference(iou: Float64[np.ndarray, " T"], gap: int) -> float:
    """The mean of |IoU_t - IoU_(t+gap)| x 100 of a video's frames, which are more than `gap`."""
    return 100 * float(abs(iou[gap:] - iou[:-gap]).mean())
