"""Does an object keep its feature over time? Cosines between the first frame and each of the next.

Figure 4 of VD-IT (arXiv 2403.12042) as its authors' code computes it, the same question without what that
recipe adds, and what either answers where nothing could be known.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy.linalg import eigh

from vdprobe.analyses.roi import (
    OBJECT_FEATURES,
    Region,
    check_finite,
    check_video,
    cosine,
    locate,
    object_features,
    roi_max_pool,
)
from vdprobe.errors import DataError

ESTIMATORS = ("paper", *OBJECT_FEATURES)
"""`paper` is the official recipe, see `paper_feature`. The others have neither PCA nor scaling."""


@dataclass(frozen=True)
class ConsistencyRow:
    """How an object of the first frame resembles a region `gap` frames later.

    - `region`: `object` is the object itself. The floors: `other` is the mean over the other objects of that
      frame, `background` a region of the object's shape that no object touches, `shuffled` the object's
      region in a frame of another video.
    - `value`: the cosine, in [-1, 1]; nan where there is nothing to compare, so that a table counts it.
    """

    object: str
    gap: int
    estimator: str
    region: str
    value: float


def consistency_rows(
    features: Float[np.ndarray, "F C H W"], masks: Mapping[str, Bool[np.ndarray, "_ Hm Wm"]], *, seed: int = 0
) -> list[ConsistencyRow]:
    """A row for each object, gap, estimator and region but `shuffled`.

    - `masks`: of each object, by its id; they cover what the grid covers.
    - `seed`: of the background regions, one drawn for each object and frame.

    Values are nan for an object that the first frame or the later one does not show, its floors' as well;
    where there is no other object; and where no background has room. Nearest resizing loses objects of less
    than a cell: to `paper` alone those are absent.

    Raises `DataError` when there is no object, there are fewer than two frames, masks differ in number from
    them or in size or are smaller than the grid, or features are not finite or have fewer than two channels
    or cells.
    """
    _check(features, masks)
    mean = features.mean(axis=(0, 2, 3), dtype=np.float64)
    rng = np.random.default_rng(seed)
    rows: list[ConsistencyRow] = []
    queries: dict[str, _Features] = {}
    for gap, frame in enumerate(features):
        planes = principal_planes(frame)
        regions = {name: locate(mask[gap], frame.shape[1:]) for name, mask in masks.items()}
        found = {name: _describe(frame, planes, mean, region) for name, region in regions.items()}
        if gap == 0:
            queries = found
            continue
        taken = np.any([region.shares > 0 for region in regions.values() if region], axis=0)
        for name, region in regions.items():
            background = _describe(frame, planes, mean, region and _elsewhere(region, taken, rng))
            # where the object has no value, neither has its floor: both are means over the same objects and frames
            others = [{e: value[e] for e in found[name] if e in value} for o, value in found.items() if o != name]
            for kind, values in (("object", [found[name]]), ("other", others), ("background", [background])):
                rows += _compare(name, gap, kind, queries[name], values)
    return rows


def shuffled_rows(
    features: Float[np.ndarray, "F C H W"],
    masks: Mapping[str, Bool[np.ndarray, "_ Hm Wm"]],
    other: Float[np.ndarray, "G _ h w"],
) -> list[ConsistencyRow]:
    """The `shuffled` rows: each object's first frame against its later places in the frames of `other`.

    `other` holds another video's features, of the same layer; its grid may differ. Centred by their own
    video's mean each. Raises `DataError` as `consistency_rows` does, and when `other` has fewer frames or
    another number of channels.
    """
    _check(features, masks)
    check_finite(other)
    if len(other) < len(features) or other.shape[1] != features.shape[1]:
        raise DataError(
            f"the other video has {len(other)} frames of {other.shape[1]} channels and this one {len(features)} "
            f"of {features.shape[1]}; pair clips of one length and one layer"
        )
    first, planes = features[0], principal_planes(features[0])
    mean, other_mean = (video.mean(axis=(0, 2, 3), dtype=np.float64) for video in (features, other))
    queries = {name: _describe(first, planes, mean, locate(mask[0], first.shape[1:])) for name, mask in masks.items()}
    rows = []
    for gap in range(1, len(features)):
        planes = principal_planes(other[gap])
        for name, mask in masks.items():
            region = locate(mask[gap], other.shape[2:])
            found = _describe(other[gap], planes, other_mean, region)
            rows += _compare(name, gap, "shuffled", queries[name], [found])
    return rows


def paper_feature(planes: Float64[np.ndarray, "2 H W"], region: Region) -> Float64[np.ndarray, " 98"] | None:
    """The official feature of an object: RoI max pool to 7 x 7, min-max scaled; None where no cell holds it.

    All values lie in [0, 1], so that unrelated objects score high: independent uniform values 0.75.
    An object of one cell has two values, and scores 0 or 1.
    """
    return None if region.cells is None else unit_range(roi_max_pool(planes, region.cells).ravel())


def principal_planes(frame: Float[np.ndarray, "C H W"]) -> Float64[np.ndarray, "2 H W"]:
    """The first two principal components of one frame, fitted to it alone.

    Their signs are arbitrary. Here the cell of largest magnitude is positive: the default of scikit-learn's
    `svd_flip`, and what its PCA did until 1.4, the newest when the paper came out; since 1.5 it is the
    channel of largest magnitude. Where such a cell changes, so does the sign of the whole frame, and with
    it the paper's score. Raises `DataError` for fewer than two channels or cells.
    """
    flat = frame.reshape(len(frame), -1).astype(np.float64)
    if min(flat.shape) < 2:
        raise DataError(
            f"{flat.shape[0]} channels in {flat.shape[1]} cells have no two principal components; "
            "give at least 2 of each"
        )
    flat -= flat.mean(axis=1, keepdims=True)
    # From the smaller of the two products: many times as fast as an SVD of the whole, for the same two vectors.
    wide = flat.shape[1] > len(flat)
    product = flat @ flat.T if wide else flat.T @ flat
    values, vectors = eigh(product, subset_by_index=[len(product) - 2, len(product) - 1])
    scores = (flat.T @ vectors if wide else vectors * np.sqrt(values.clip(0))).T[::-1]
    signs = np.sign(scores[np.arange(len(scores)), abs(scores).argmax(axis=1)])
    return (scores * signs[:, None]).reshape(-1, *frame.shape[1:])


def unit_range(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """The values moved and scaled to [0, 1]; zeros where they are all equal."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _check(features: np.ndarray, masks: Mapping[str, np.ndarray]) -> None:
    check_video(features, masks)
    if len(features) < 2:
        raise DataError("one frame has nothing to be consistent with; give at least 2")


_Features = dict[str, np.ndarray]


def _describe(frame: np.ndarray, planes: np.ndarray, mean: np.ndarray, region: Region | None) -> _Features:
    """The features of a region by estimator: none where there is no region."""
    if region is None:
        return {}
    paper = paper_feature(planes, region)
    return ({} if paper is None else {"paper": paper}) | object_features(frame, mean, region)


def _compare(name: str, gap: int, region: str, query: _Features, found: list[_Features]) -> list[ConsistencyRow]:
    rows = []
    for estimator in ESTIMATORS:
        values = [cosine(query[estimator], f[estimator]) for f in found if estimator in f and estimator in query]
        rows.append(ConsistencyRow(name, gap, estimator, region, float(np.mean(values)) if values else np.nan))
    return rows


def _elsewhere(region: Region, taken: Bool[np.ndarray, "H W"], rng: np.random.Generator) -> Region | None:
    """The region at a place drawn from all those where its box touches no taken cell, None if there is none."""
    rows, columns = (np.flatnonzero(region.shares.any(axis=axis)) for axis in (1, 0))
    span = (rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0])
    free = np.argwhere(~np.lib.stride_tricks.sliding_window_view(taken, span).any(axis=(2, 3)))
    if not len(free):
        return None
    down, across = (int(n) for n in free[rng.integers(len(free))] - (rows[0], columns[0]))
    left, top, right, bottom = region.box
    box = (left + across, top + down, right + across, bottom + down)
    cells = region.cells
    if cells is not None:
        cells = (cells[0] + across, cells[1] + down, cells[2] + across, cells[3] + down)
    return Region(np.roll(region.shares, (down, across), (0, 1)), box, cells)
