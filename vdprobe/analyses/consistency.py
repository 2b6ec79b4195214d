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
    Regions,
    check_features,
    check_finite,
    check_masks,
    cosines,
    locate,
    object_features,
    regions_of,
)
from vdprobe.errors import DataError

ESTIMATORS = ("paper", *OBJECT_FEATURES)
"""`paper` is the official recipe, see `paper_features`. The others have neither PCA nor scaling."""
REGIONS = ("object", "other", "background")
"""Where in a later frame: the object itself; the mean over the other objects; a region of the object's shape that no
object touches."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """Where the objects of a clip are on one grid: made once, for all features on it.

    - `frames`: for each frame the regions of the objects, then a background region for each of them.
    """

    objects: tuple[str, ...]
    grid: tuple[int, int]
    frames: tuple[Regions, ...]


@dataclass(frozen=True, eq=False)
class TrackFeatures:
    """The features of each region of `Tracks`, nan where there is none: of `paper` and of `OBJECT_FEATURES`."""

    paper: Float64[np.ndarray, "F regions 98"]
    plain: Float64[np.ndarray, "4 F regions C"]


def make_tracks(masks: Mapping[str, Bool[np.ndarray, "F Hm Wm"]], grid: tuple[int, int], *, seed: int = 0) -> Tracks:
    """The objects of a clip on a grid of (height, width) cells.

    - `masks`: of each object, by its id; they cover what the grid covers.
    - `seed`: of the background regions, one drawn for each object and frame after the first.

    Raises `DataError` when there is no object, there are fewer than two frames, or masks differ in number or size or
    are smaller than the grid.
    """
    check_masks(masks)
    rng = np.random.default_rng(seed)
    frames = []
    for number, shown in enumerate(zip(*masks.values(), strict=True)):
        regions = [locate(mask, grid) for mask in shown]
        taken = np.any([np.zeros(grid, dtype=bool), *(region.shares > 0 for region in regions if region)], axis=0)
        away = [_elsewhere(region, taken, rng) if region and number else None for region in regions]
        frames.append(regions_of([*regions, *away], grid))
    if len(frames) < 2:
        raise DataError("one frame has nothing to be consistent with; give at least 2")
    return Tracks(tuple(masks), grid, tuple(frames))


def track_features(
    features: Float[np.ndarray, "F C H W"], mean: Float64[np.ndarray, " C"], tracks: Tracks, *, first: int = 0
) -> TrackFeatures:
    """The features of all regions from the frame `first` on.

    - `mean`: the video's, as `video_mean` has it.

    Raises `DataError` when the features have other frames or another grid than the tracks, or fewer than two channels
    or cells.
    """
    check_features(features, len(tracks.frames), tracks.grid)
    maxima, plain = [], []
    for frame, regions in zip(features[first:], tracks.frames[first:], strict=True):
        exact = frame.astype(np.float64)  # of a whole clip it may be gigabytes
        maxima.append(regions.maxima(principal_planes(exact)))
        plain.append(list(object_features(exact, mean, regions).values()))
    return TrackFeatures(paper_features(np.stack(maxima)), np.stack(plain, axis=1))


def consistency(found: TrackFeatures) -> Float64[np.ndarray, "estimators regions objects gaps"]:
    """The cosine of each object's first feature with those of `REGIONS` in each later frame.

    - `found`: all frames of a video, by `track_features`.

    Values are nan for an object that the first frame or the later one does not show, its floors' as well; where there
    is no other object; and where no background has room. Nearest resizing loses objects of less than a cell: to
    `paper` alone those are absent.
    """
    return np.concatenate([_likeness(values) for values in (found.paper[None], found.plain)])


def shuffled(found: TrackFeatures, other: TrackFeatures) -> Float64[np.ndarray, "estimators objects gaps"]:
    """The cosine of each object's first feature with its later places in the frames of another video.

    - `other`: the other video's features from the frame 1 on, read at this one's objects; its grid may differ.

    Raises `DataError` when the other video has another number of frames or channels.
    """
    frames, _, channels = found.plain.shape[1:]
    later, _, others = other.plain.shape[1:]
    if (frames, channels) != (later + 1, others):
        raise DataError(
            f"the other video has {later} later frames of {others} channels and this one {frames - 1} of {channels}; "
            "pair clips of one length and one layer"
        )
    pairs = ((found.paper[None], other.paper[None]), (found.plain, other.plain))
    count = found.paper.shape[1] // 2
    values = [cosines(own[:, :1, :count], its[:, :, :count]) for own, its in pairs]
    return np.concatenate(values).transpose(0, 2, 1)


def video_mean(features: Float[np.ndarray, "F C H W"]) -> Float64[np.ndarray, " C"]:
    """The mean feature of a video; raises `DataError` when one is not finite."""
    check_finite(features)
    return features.mean(axis=(0, 2, 3), dtype=np.float64)


def paper_features(maxima: Float64[np.ndarray, "*regions 98"]) -> Float64[np.ndarray, "*regions 98"]:
    """The official feature of an object, from its RoI max pool of two planes to 7 x 7: min-max scaled.

    All values lie in [0, 1], so that unrelated objects score high: independent uniform values 0.75.
    An object of one cell has two values, and scores 0 or 1.
    """
    low, high = maxima.min(axis=-1, keepdims=True), maxima.max(axis=-1, keepdims=True)
    return (maxima - low) / np.where(high == low, 1, high - low)


def principal_planes(frame: Float[np.ndarray, "C H W"]) -> Float64[np.ndarray, "2 H W"]:
    """The first two principal components of one frame, fitted to it alone.

    Their signs are arbitrary. Here the cell of largest magnitude is positive: the default of scikit-learn's
    `svd_flip`, and what its PCA did until 1.4, the newest when the paper came out; since 1.5 it is the
    channel of largest magnitude. Where such a cell changes, so does the sign of the whole frame, and with
    it the paper's score. Raises `DataError` for fewer than two channels or cells.
    """
    flat = frame.reshape(len(frame), -1)
    if min(flat.shape) < 2:
        raise DataError(
            f"{flat.shape[0]} channels in {flat.shape[1]} cells have no two principal components; "
            "give at least 2 of each"
        )
    flat = flat - flat.mean(axis=1, keepdims=True, dtype=np.float64)
    # From the smaller of the two products: many times as fast as an SVD of the whole, for the same two vectors.
    wide = flat.shape[1] > len(flat)
    product = flat @ flat.T if wide else flat.T @ flat
    values, vectors = eigh(product, subset_by_index=[len(product) - 2, len(product) - 1], check_finite=False)
    scores = (flat.T @ vectors if wide else vectors * np.sqrt(values.clip(0))).T[::-1]
    signs = np.sign(scores[np.arange(len(scores)), abs(scores).argmax(axis=1)])
    return (scores * signs[:, None]).reshape(-1, *frame.shape[1:])


def _likeness(values: Float64[np.ndarray, "E F regions _"]) -> Float64[np.ndarray, "E 3 n gaps"]:
    """As `consistency`, of some estimators whose features have one length; half of the regions are background."""
    count = values.shape[2] // 2
    first, later, background = values[:, :1, :count], values[:, 1:, :count], values[:, 1:, count:]
    every = cosines(first[..., None, :], later[:, :, None])  # gap, object of the first frame, object of the later one
    own = every.diagonal(axis1=2, axis2=3)
    # where the object has no value, neither has its floor: both are means over the same objects and frames
    others = np.isfinite(every) & np.isfinite(own)[..., None] & ~np.eye(count, dtype=bool)
    number = others.sum(axis=3)
    mean = np.where(others, every, 0).sum(axis=3) / np.where(number == 0, np.nan, number)
    return np.stack([own, mean, cosines(first, background)], axis=1).swapaxes(2, 3)


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
