"""How sure a mean over videos is: seeded bootstrap intervals.

Videos are drawn, never frames or expressions, which are not independent within a video: average those
first, so that each video is one value. With few videos the interval is too narrow: of normal values it
covers the true mean in 90 of 100 cases for 10 videos, in 93 for 20, in 94 to 95 from 40 on.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from vdprobe.errors import DataError

DRAWS = 10_000
"""The ends of the interval move by about a hundredth of its width from seed to seed."""

BLOCK = 100

ENDS = 0.025, 0.975
"""Shares of the draws below the ends of an interval."""


@dataclass(frozen=True)
class Interval:
    """A mean over `count` videos and its 95 % interval."""

    mean: float
    low: float
    high: float
    count: int


def bootstrap_interval(values: Float64[np.ndarray, " videos"], *, seed: int = 0) -> Interval:
    """The mean of one value a video, with the percentiles of means over videos drawn with replacement.

    Raises `DataError` for fewer than two videos, or a value that is not finite.
    """
    if len(values) < 2:
        raise DataError(f"an interval over {len(values)} videos says nothing; give at least 2")
    if not np.isfinite(values).all():
        lost = len(values) - np.count_nonzero(np.isfinite(values))
        raise DataError(f"{lost} of {len(values)} videos have no finite value; leave them out by name")
    mean, low, high = bootstrap_intervals(values[:, None], seed=seed)[:, 0]
    return Interval(float(mean), float(low), float(high), len(values))


def bootstrap_intervals(values: Float64[np.ndarray, "videos rows"], *, seed: int = 0) -> Float64[np.ndarray, "3 rows"]:
    """Mean, low and high end of many rows over the same videos, drawn once for all of them."""
    count, rows = values.shape
    rng = np.random.default_rng(seed)
    means = np.empty((rows, DRAWS))
    # in blocks, so that memory stays small for thousands of videos
    for start in range(0, DRAWS, BLOCK):
        drawn = rng.integers(count, size=(BLOCK, count)) + count * np.arange(BLOCK)[:, None]
        times = np.bincount(drawn.ravel(), minlength=BLOCK * count).reshape(BLOCK, count)
        means[:, start : start + BLOCK] = values.T @ times.T / count
    means.sort(axis=1)  # where the processor sorts several at once, faster than to look for the ends alone
    places = np.array(ENDS) * (DRAWS - 1)
    below = places.astype(np.int64)
    ends = means[:, below] + (means[:, below + 1] - means[:, below]) * (places - below)
    return np.concatenate([values.mean(axis=0)[None], ends.T])


def paired_interval(
    first: Float64[np.ndarray, " videos"], second: Float64[np.ndarray, " _"], *, seed: int = 0
) -> Interval:
    """`first` minus `second` on the same videos in the same order: what changes, without what videos differ by.

    Raises `DataError` as `bootstrap_interval` does, and when the two differ in length.
    """
    if len(first) != len(second):
        raise DataError(f"{len(first)} and {len(second)} values make no pairs; give both for the same videos")
    return bootstrap_interval(first - second, seed=seed)
