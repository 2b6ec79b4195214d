"""Does a layer tell objects apart? An object over time against two objects of one frame.

Both samples hold cosines between features of objects, and differ in more than whose they are: two objects
of a frame stand apart. Rows say how far, how large and how covered, so that like can be compared with like.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy.stats import rankdata

from vdprobe.analyses.roi import OBJECT_FEATURES, check_video, cosine, locate, object_features, tight_box
from vdprobe.errors import ConfigError, DataError, suggest


@dataclass(frozen=True)
class PairRow:
    """The likeness of two objects, each in one frame.

    - `kind`: `within` is one object in two frames, `between` two objects in one frame.
    - `value`: cosine between their features, in [-1, 1].
    - `size`: of the smaller one, as a share of the frame's pixels.
    - `gap`: from box to box, as a share of the frame's longer side; 0 where they touch.
    - `occlusion`: the share of an object's box that others fill and it does not, of the one for which it is
      larger: all that masks can say, as what is hidden has none.
    """

    kind: str
    first: str
    second: str
    first_frame: int
    second_frame: int
    estimator: str
    value: float
    size: float
    gap: float
    occlusion: float


def pair_rows(
    features: Float[np.ndarray, "F C H W"], masks: Mapping[str, Bool[np.ndarray, "_ Hm Wm"]]
) -> list[PairRow]:
    """A row for each pair, of frames of one object or of objects of one frame, and each of `OBJECT_FEATURES`.

    - `masks`: of each object, by its id; they cover what the grid covers.

    Frames that do not show an object have no pair with it. Raises `DataError` when there is no object, masks
    differ in number from the frames or in size or are smaller than the grid, or features are not finite.
    """
    check_video(features, masks)
    mean = features.mean(axis=(0, 2, 3), dtype=np.float64)
    seen = [s for name in masks for frame in range(len(features)) if (s := _look(features, masks, mean, name, frame))]
    rows = []
    for one, two in combinations(seen, 2):
        if (one.name == two.name) == (one.frame == two.frame):
            continue
        facts = (min(one.size, two.size), _gap(one.box, two.box), max(one.occlusion, two.occlusion))
        kind = "within" if one.name == two.name else "between"
        for estimator in OBJECT_FEATURES:
            value = cosine(one.features[estimator], two.features[estimator])
            rows.append(PairRow(kind, one.name, two.name, one.frame, two.frame, estimator, value, *facts))
    return rows


def samples(
    rows: Iterable[PairRow], estimator: str
) -> tuple[Float64[np.ndarray, " within"], Float64[np.ndarray, " between"]]:
    """The values within objects and between objects. Raises `ConfigError` for an unknown estimator."""
    if estimator not in OBJECT_FEATURES:
        raise ConfigError(f"no estimator '{estimator}': {suggest(estimator, OBJECT_FEATURES)}")
    values: dict[str, list[float]] = {"within": [], "between": []}
    for row in rows:
        if row.estimator == estimator:
            values[row.kind].append(row.value)
    return np.array(values["within"], dtype=np.float64), np.array(values["between"], dtype=np.float64)


def separation(within: Float64[np.ndarray, " n"], between: Float64[np.ndarray, " m"]) -> float:
    """How often a pair within is more alike than one between, ties counting half: 0.5 is chance, 1 perfect.

    The area under the ROC curve, by the ranks of Mann and Whitney. Raises `DataError` when either is empty.
    """
    if not len(within) or not len(between):
        raise DataError(
            f"{len(within)} pairs within and {len(between)} between objects cannot be ranked; "
            "give videos with two objects in a frame and one object in two frames"
        )
    ranks = rankdata(np.concatenate([within, between]))[: len(within)]
    return float((ranks.mean() - (len(within) + 1) / 2) / len(between))


@dataclass(frozen=True, eq=False)
class _Seen:
    """An object in one frame; `box` as shares of the frame's longer side."""

    name: str
    frame: int
    features: dict[str, np.ndarray]
    size: float
    box: Float64[np.ndarray, " 4"]
    occlusion: float


def _look(
    features: np.ndarray, masks: Mapping[str, np.ndarray], mean: np.ndarray, name: str, frame: int
) -> _Seen | None:
    mask = masks[name][frame]
    region, pixels = locate(mask, features.shape[2:]), tight_box(mask)
    if region is None or pixels is None:
        return None
    left, top, right, bottom = pixels
    others = np.any([m[frame] for n, m in masks.items() if n != name] or [np.zeros_like(mask)], axis=0) & ~mask
    return _Seen(
        name,
        frame,
        object_features(features[frame], mean, region),
        float(mask.mean()),
        np.array([left, top, right + 1, bottom + 1]) / max(mask.shape),
        float(others[top : bottom + 1, left : right + 1].mean()),
    )


def _gap(one: Float64[np.ndarray, " 4"], two: Float64[np.ndarray, " 4"]) -> float:
    apart = np.maximum(one[:2] - two[2:], two[:2] - one[2:]).clip(0)
    return float(np.hypot(*apart))
