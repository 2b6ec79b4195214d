"""Does a layer tell objects apart? An object over time against two objects of one frame.

Both samples hold cosines between features of objects, and differ in more than whose they are: two objects
of a frame stand apart. Pairs say how far, how large and how covered, so that like can be compared with like.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from vdprobe.analyses.roi import (
    Regions,
    check_features,
    check_finite,
    check_masks,
    locate,
    object_features,
    regions_of,
    tight_box,
)
from vdprobe.errors import DataError


@dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs of the objects of a clip, each object in one frame: made once, for all features on that grid.

    - `frames`: for each frame the regions of the objects, by whose numbers pairs name them.
    - `objects`, `times`: the objects of each pair and their frames.
    - `size`: of the smaller one, as a share of the frame's pixels.
    - `gap`: from box to box, as a share of the frame's longer side; 0 where they touch.
    - `occlusion`: the share of an object's box that others fill and it does not, of the one for which it is
      larger: all that masks can say, as what is hidden has none.
    """

    names: tuple[str, ...]
    grid: tuple[int, int]
    frames: tuple[Regions, ...]
    objects: Int64[np.ndarray, "pairs 2"]
    times: Int64[np.ndarray, "pairs 2"]
    size: Float64[np.ndarray, " pairs"]
    gap: Float64[np.ndarray, " pairs"]
    occlusion: Float64[np.ndarray, " pairs"]

    @property
    def within(self) -> Bool[np.ndarray, " pairs"]:
        """Which are one object in two frames; the others are two objects in one."""
        return self.objects[:, 0] == self.objects[:, 1]


def find_pairs(masks: Mapping[str, Bool[np.ndarray, "F Hm Wm"]], grid: tuple[int, int]) -> Pairs:
    """All pairs of frames of one object, and of objects of one frame.

    - `masks`: of each object, by its id; they cover what the grid of (height, width) cells covers.

    Frames that do not show an object have no pair with it. Raises `DataError` when there is no object, or masks differ
    in number or size or are smaller than the grid.
    """
    check_masks(masks)
    seen: list[_Seen] = []
    for number, name in enumerate(masks):
        seen += [s for frame in range(len(masks[name])) if (s := _look(masks, name, number, frame)) is not None]
    pairs = [(a, b) for a, b in combinations(seen, 2) if (a.object == b.object) != (a.frame == b.frame)]
    shown = zip(*masks.values(), strict=True)
    return Pairs(
        names=tuple(masks),
        grid=grid,
        frames=tuple(regions_of([locate(mask, grid) for mask in of_frame], grid) for of_frame in shown),
        objects=np.array([(a.object, b.object) for a, b in pairs], dtype=np.int64).reshape(-1, 2),
        times=np.array([(a.frame, b.frame) for a, b in pairs], dtype=np.int64).reshape(-1, 2),
        size=np.array([min(a.size, b.size) for a, b in pairs], dtype=np.float64),
        gap=np.array([_gap(a.box, b.box) for a, b in pairs], dtype=np.float64),
        occlusion=np.array([max(a.occlusion, b.occlusion) for a, b in pairs], dtype=np.float64),
    )


def pair_values(features: Float[np.ndarray, "F C H W"], pairs: Pairs) -> dict[str, Float64[np.ndarray, " pairs"]]:
    """The cosine of each pair's features, in [-1, 1], by each of `OBJECT_FEATURES`.

    Raises `DataError` when the features have other frames or another grid than the pairs, or are not finite.
    """
    check_features(features, len(pairs.frames), pairs.grid)
    check_finite(features)
    mean = features.mean(axis=(0, 2, 3), dtype=np.float64)
    described = [
        object_features(frame.astype(np.float64), mean, regions)
        for frame, regions in zip(features, pairs.frames, strict=True)
    ]
    return {name: _cosines(np.stack([one[name] for one in described]), pairs) for name in described[0]}


def separation(within: Float64[np.ndarray, " n"], between: Float64[np.ndarray, " m"]) -> float:
    """How often a pair within is more alike than one between, ties counting half: 0.5 is chance, 1 perfect.

    The area under the ROC curve (Mann and Whitney 1947). Raises `DataError` when either is empty.
    """
    if not len(within) or not len(between):
        raise DataError(
            f"{len(within)} pairs within and {len(between)} between objects cannot be ranked; "
            "give videos with two objects in a frame and one object in two frames"
        )
    ranked = np.sort(between)
    below = np.searchsorted(ranked, within, "left").sum() + np.searchsorted(ranked, within, "right").sum()
    return float(below / (2 * len(within) * len(between)))


@dataclass(frozen=True, eq=False)
class _Seen:
    """An object in one frame; `box` as shares of the frame's longer side."""

    object: int
    frame: int
    size: float
    box: Float64[np.ndarray, " 4"]
    occlusion: float


def _look(masks: Mapping[str, np.ndarray], name: str, number: int, frame: int) -> _Seen | None:
    mask = masks[name][frame]
    pixels = tight_box(mask)
    if pixels is None:
        return None
    left, top, right, bottom = pixels
    others = np.any([m[frame] for n, m in masks.items() if n != name] or [np.zeros_like(mask)], axis=0) & ~mask
    return _Seen(
        number,
        frame,
        float(mask.mean()),
        np.array([left, top, right + 1, bottom + 1]) / max(mask.shape),
        float(others[top : bottom + 1, left : right + 1].mean()),
    )


def _gap(one: Float64[np.ndarray, " 4"], two: Float64[np.ndarray, " 4"]) -> float:
    apart = np.maximum(one[:2] - two[2:], two[:2] - one[2:]).clip(0)
    return float(np.hypot(*apart))


def _cosines(features: Float64[np.ndarray, "F n C"], pairs: Pairs) -> Float64[np.ndarray, " pairs"]:
    """Of each pair; 0 where one has no length."""
    flat = features.reshape(-1, features.shape[2])
    first, second = (pairs.times * features.shape[1] + pairs.objects).T
    lengths = np.linalg.norm(flat, axis=1)
    both = lengths[first] * lengths[second]
    # from the products of all with all: fewer than pairs times channels are to be copied
    dots = (flat @ flat.T)[first, second]
    return np.where(both == 0, 0, dots / np.where(both == 0, 1, both))
