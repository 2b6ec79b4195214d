"""Objects on feature grids: which cells an object fills, and one feature for it.

A mask covers what the grid covers: cut the padding off both first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from scipy.sparse import csr_array

from vdprobe.errors import DataError

SAMPLES = 2
"""Places at which RoI align looks along each side of a bin."""

OBJECT_FEATURES = ("masked_mean", "masked_mean_centred", "roi_align", "roi_align_centred")
"""The features of `object_features`, each of one value a channel."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom edge: the right and the bottom lie past the last cell or pixel."""
Cells = tuple[int, int, int, int]
"""First column and row, last column and row: the last ones belong to it."""


@dataclass(frozen=True, eq=False)
class Region:
    """Where an object is in one frame, in cells of a grid.

    - `shares`: how much of each cell it fills, in [0, 1].
    - `box`: the edges of its pixels, in cells and fractions of cells.
    - `cells`: the tight box of the mask resized to the grid by the nearest pixel; None where it vanishes.
    """

    shares: Float64[np.ndarray, "h w"]
    box: Box
    cells: Cells | None


def locate(mask: Bool[np.ndarray, "H W"], grid: tuple[int, int]) -> Region | None:
    """The region of a mask on a `grid` of (height, width) cells, None for an empty mask.

    Raises `DataError` when the mask has fewer pixels than the grid has cells, along either side.
    """
    (height, width), (down, across) = mask.shape, grid
    if height < down or width < across:
        raise DataError(
            f"a mask of {width}x{height} pixels is smaller than the grid of {across}x{down} cells; "
            "give masks at the video's size"
        )
    pixels = tight_box(mask)
    if pixels is None:
        return None
    left, top, right, bottom = pixels
    box = (left * across / width, top * down / height, (right + 1) * across / width, (bottom + 1) * down / height)
    return Region(area_shares(mask, grid), box, tight_box(nearest_mask(mask, grid)))


def nearest_mask(mask: Bool[np.ndarray, "H W"], grid: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """The mask at one pixel of each cell, the upper left one: `nearest` of PyTorch's `interpolate`."""
    rows, columns = (np.arange(cells) * side // cells for cells, side in zip(grid, mask.shape, strict=True))
    return mask[np.ix_(rows, columns)]


def area_shares(mask: Bool[np.ndarray, "H W"], grid: tuple[int, int]) -> Float64[np.ndarray, "h w"]:
    """The share of each cell's area that the mask fills, exact also where cells cut through pixels."""
    rows, columns = (_overlaps(cells, side) for cells, side in zip(grid, mask.shape, strict=True))
    return rows @ mask @ columns.T


def tight_box(mask: Bool[np.ndarray, "H W"]) -> Cells | None:
    """The first and last column and row that hold the mask, None for an empty one."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return (int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])) if len(rows) else None


@dataclass(frozen=True, eq=False)
class Bins:
    """The cells that each of `size` x `size` bins of some boxes touches, along either side.

    Bins of fewer cells than the longest repeat their last one, which changes no maximum.
    """

    rows: Int64[np.ndarray, "n size _"]
    columns: Int64[np.ndarray, "n size _"]


def pool_bins(boxes: Sequence[Cells], grid: tuple[int, int], size: int = 7) -> Bins:
    """The bins of torchvision's `roi_pool` with spatial scale 1.

    As there, the last column and row belong to the box, and bins widen to whole cells, so that neighbours
    may share some. Edges of bins are exact: in torchvision's float32 the last bin of 31, 57 or 62 cells
    would reach a cell too far. Raises `DataError` when a box leaves the grid.
    """
    height, width = grid
    for box in boxes:
        left, top, right, bottom = box
        if not (0 <= left <= right < width and 0 <= top <= bottom < height):
            raise DataError(f"the box {box} leaves the grid of {width}x{height} cells; give its first and last cells")
    edges = np.array(boxes, dtype=np.int64).reshape(-1, 4)
    return Bins(_bins(edges[:, 1], edges[:, 3], size), _bins(edges[:, 0], edges[:, 2], size))


def roi_max_pool(features: Float[np.ndarray, "C H W"], bins: Bins) -> Float[np.ndarray, "C n size size"]:
    """The maximum of each bin."""
    narrow = features[:, :, bins.columns].max(axis=4)
    each = np.arange(len(bins.rows))[:, None, None]
    return narrow[:, bins.rows, each].max(axis=3)


def align_weights(box: Box, grid: tuple[int, int], size: int = 7) -> Float64[np.ndarray, "H W"]:
    """How much each cell counts in the mean of the `size` x `size` bins of RoI align (He et al. 2017).

    A bin is the mean of `SAMPLES` x `SAMPLES` bilinear samples: torchvision's `roi_align` with `sampling_ratio=2`
    and `aligned=True`.
    """
    left, top, right, bottom = box
    height, width = grid
    rows, columns = _sampling(top, bottom, height, size), _sampling(left, right, width, size)
    return np.outer(rows.mean(axis=0), columns.mean(axis=0))


@dataclass(frozen=True, eq=False)
class Regions:
    """Regions of one frame as features are read there: made once, for all features on that grid.

    - `count`: of the places that were asked for. Some may have no region: their features are nan.
    - `there`: the numbers of those that have one; `weights`: of the cells in its two means, by the share that it
      fills and by RoI align; `totals`: what each is divided by.
    - `boxed`: the numbers of those that the nearest pixel leaves on the grid; `bins`: of their boxes.
    """

    count: int
    there: Int64[np.ndarray, " r"]
    weights: csr_array
    totals: Float64[np.ndarray, " 2*r"]
    boxed: Int64[np.ndarray, " b"]
    bins: Bins

    def means(self, features: Float64[np.ndarray, "C H W"]) -> Float64[np.ndarray, "2 count C"]:
        """The mean feature of each region by share and by RoI align."""
        flat = features.reshape(len(features), -1)
        out = np.full((2, self.count, len(flat)), np.nan)
        sums = self.weights @ flat.T / self.totals[:, None]
        out[:, self.there] = sums.reshape(-1, 2, len(flat)).transpose(1, 0, 2)
        return out

    def maxima(self, planes: Float64[np.ndarray, "C H W"]) -> Float64[np.ndarray, "count _"]:
        """The 7 x 7 maxima of each box, plane by plane."""
        pooled = roi_max_pool(planes, self.bins).transpose(1, 0, 2, 3)
        out = np.full((self.count, np.prod(pooled.shape[1:])), np.nan)
        out[self.boxed] = pooled.reshape(len(pooled), out.shape[1])
        return out


def regions_of(regions: Sequence[Region | None], grid: tuple[int, int]) -> Regions:
    """What is read of some regions of a frame, None where there is none."""
    found = [(number, region) for number, region in enumerate(regions) if region is not None]
    boxes = [(number, region.cells) for number, region in found if region.cells is not None]
    weights = [w.ravel() for _, region in found for w in (region.shares, align_weights(region.box, grid))]
    return Regions(
        count=len(regions),
        there=np.array([number for number, _ in found], dtype=np.int64),
        weights=csr_array(np.reshape(weights, (2 * len(found), grid[0] * grid[1]))),
        totals=np.array([total for _, region in found for total in (region.shares.sum(), 1.0)]),
        boxed=np.array([number for number, _ in boxes], dtype=np.int64),
        bins=pool_bins([cells for _, cells in boxes], grid),
    )


def object_features(
    features: Float64[np.ndarray, "C H W"], mean: Float64[np.ndarray, " C"], regions: Regions
) -> dict[str, Float64[np.ndarray, "n C"]]:
    """One feature of each region of a frame for each name in `OBJECT_FEATURES`.

    - `mean`: the video's mean feature. What all places share makes every cosine high: centred ones are without it.
    """
    filled, aligned = regions.means(features)
    return dict(zip(OBJECT_FEATURES, (filled, filled - mean, aligned, aligned - mean), strict=True))


def cosines(first: Float64[np.ndarray, "*rows n"], second: Float64[np.ndarray, "*others n"]) -> np.ndarray:
    """Of the angles between vectors, along the last axis; 0 where one has no length, as it resembles nothing."""
    dots = np.einsum("...n,...n->...", first, second)
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    return np.where(lengths == 0, 0, dots / np.where(lengths == 0, 1, lengths))


def check_masks(masks: Mapping[str, Bool[np.ndarray, "_ _ _"]]) -> None:
    """Raise `DataError` when there is no object, or masks differ in size or number from object to object."""
    if not masks:
        raise DataError("there is no object; give masks of at least one")
    count, height, width = next(iter(masks.values())).shape
    for name, mask in masks.items():
        if mask.shape != (count, height, width):
            raise DataError(
                f"object '{name}' has {len(mask)} masks of {mask.shape[2]}x{mask.shape[1]} pixels and not "
                f"{count} of {width}x{height}; give each object one mask a frame, all of one size"
            )


def check_features(features: Float[np.ndarray, "F C H W"], frames: int, grid: tuple[int, int]) -> None:
    """Raise `DataError` when features are not those of so many frames on a grid of (height, width) cells."""
    if (len(features), features.shape[2:]) != (frames, grid):
        raise DataError(
            f"{len(features)} frames of {features.shape[3]}x{features.shape[2]} features are not the {frames} of "
            f"{grid[1]}x{grid[0]} in which objects were located; locate them on the features' own grid"
        )


def check_finite(features: Float[np.ndarray, "F C H W"]) -> None:
    """Raise `DataError` when a feature is not finite."""
    if not np.isfinite(features).all():
        raise DataError("features hold NaN or infinite values; compute them in float32 or bfloat16")


def _bins(first: Int64[np.ndarray, " n"], last: Int64[np.ndarray, " n"], size: int) -> Int64[np.ndarray, "n size _"]:
    """The cells of each bin from a first to a last cell, along one side."""
    lengths, places = (last + 1 - first)[:, None], np.arange(size)
    starts, stops = places * lengths // size, -(-(places + 1) * lengths // size)
    longest = int((stops - starts).max(initial=1))
    cells = np.minimum(starts[..., None] + np.arange(longest), stops[..., None] - 1)
    return first[:, None, None] + cells


def _overlaps(cells: int, pixels: int) -> Float64[np.ndarray, "{cells} {pixels}"]:
    """The share of each cell that each pixel fills, along one side."""
    edges, starts = np.arange(cells + 1)[:, None] * pixels / cells, np.arange(pixels)
    both = np.minimum(edges[1:], starts + 1) - np.maximum(edges[:-1], starts)
    return np.maximum(both, 0) * cells / pixels


def _sampling(low: float, high: float, side: int, size: int) -> Float64[np.ndarray, "{size} {side}"]:
    """How much each cell counts in each bin, along one side; a cell's value stands at its middle."""
    step = (high - low) / (size * SAMPLES)
    places = low - 0.5 + step * (np.arange(size * SAMPLES) + 0.5)
    near = (places >= -1) & (places <= side)
    hats = np.maximum(0, 1 - abs(places.clip(0, side - 1)[:, None] - np.arange(side)))
    return (hats * near[:, None]).reshape(size, SAMPLES, side).mean(axis=1)
