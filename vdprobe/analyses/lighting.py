"""What a change of light does to features, and to the masks made of them: Figure 5 of VD-IT.

The paper compares IoU alone, at magnitudes it does not tell. Here values of a video under each strength are
paired with its own at strength 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Integer

from vdprobe.errors import DataError
from vdprobe.metrics.intervals import Interval, bootstrap_interval, paired_interval


@dataclass(frozen=True)
class DriftRow:
    """How alike features are before and after a change, in one region of a clip.

    - `region`: `object` or `background`.
    - `centred`: whether the clean clip's mean feature is taken from both. What all places share makes every
      cosine high, so that only the centred one can show that places lose what tells them apart.
    - `cosine`: the mean over places; nan where the region has none.
    - `places`: of all frames.
    """

    region: str
    centred: bool
    cosine: float
    places: int


@dataclass(frozen=True)
class ChangeRow:
    """The mean over videos of (value at a strength - value at strength 0), and its 95 % interval."""

    strength: float
    mean: float
    low: float
    high: float
    count: int


def drift_rows(
    clean: Float[np.ndarray, "F C H W"], changed: Float[np.ndarray, "F C H W"], cells: Integer[np.ndarray, "F H W"]
) -> list[DriftRow]:
    """Four rows: object and background, as features are and centred.

    - `cells`: as `cell_labels` gives them: above 0 object, 0 background, below 0 neither.

    Raises `DataError` when a feature is not finite.
    """
    mean = clean.mean(axis=(0, 2, 3), dtype=np.float64)[:, None, None]
    if not (np.isfinite(clean).all() and np.isfinite(changed).all()):
        raise DataError("features hold NaN or infinite values; compute them in float32 or bfloat16")
    rows = []
    for centred, centre in ((False, np.zeros_like(mean)), (True, mean)):
        cosines = np.stack([_cosines(*(frame - centre for frame in pair)) for pair in zip(clean, changed, strict=True)])
        for region, where in (("object", cells > 0), ("background", cells == 0)):
            value = float(cosines[where].mean()) if where.any() else np.nan
            rows.append(DriftRow(region, centred, value, int(where.sum())))
    return rows


def change_rows(
    values: Float64[np.ndarray, "videos strengths"], strengths: Sequence[float], *, seed: int = 0
) -> list[ChangeRow]:
    """A row for each strength above 0: of IoU, of cosine, of any value a video; below 0 where it drops.

    - `strengths`: of the columns of `values`, rising from 0 on.

    Raises `DataError` for other strengths, fewer than two videos, or a value that is not finite.
    """
    _check(values, strengths)
    found = [paired_interval(column, values[:, 0], seed=seed) for column in values.T[1:]]
    return [
        ChangeRow(strength, change.mean, change.low, change.high, change.count)
        for strength, change in zip(strengths[1:], found, strict=True)
    ]


def change_slope(
    values: Float64[np.ndarray, "videos strengths"], strengths: Sequence[float], *, seed: int = 0
) -> Interval:
    """How much the value changes from strength 0 to 1: each video's least-squares line, videos drawn with replacement.

    Raises `DataError` as `change_rows` does.
    """
    _check(values, strengths)
    away = np.array(strengths) - np.mean(strengths)
    return bootstrap_interval(values @ away / (away @ away), seed=seed)


def _cosines(first: Float64[np.ndarray, "C H W"], second: Float64[np.ndarray, "C H W"]) -> Float64[np.ndarray, "H W"]:
    """Of each place; where a feature has no length 0, as it resembles nothing, unless both are the same."""
    lengths = np.linalg.norm(first, axis=0) * np.linalg.norm(second, axis=0)
    cosines = (first * second).sum(axis=0) / np.where(lengths == 0, 1, lengths)
    return np.where((first == second).all(axis=0), 1, cosines)


def _check(values: Float64[np.ndarray, "videos strengths"], strengths: Sequence[float]) -> None:
    if len(strengths) != values.shape[1] or len(strengths) < 2 or strengths[0] != 0 or (np.diff(strengths) <= 0).any():
        raise DataError(
            f"strengths {list(strengths)} of {values.shape[1]} columns; give one each, two or more, rising from 0 on"
        )
