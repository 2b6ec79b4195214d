"""Objects on feature grids: which cells an object fills, and one feature for it.

A mask covers what the grid covers: cut the padding off both first.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64

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


def roi_max_pool(
    features: Float[np.ndarray, "C H W"], cells: Cells, size: int = 7
) -> Float[np.ndarray, "C {size} {size}"]:
    """The maximum of each of `size` x `size` bins: torchvision's `roi_pool` with spatial scale 1.

    As there, the last column and row belong to the box, and bins widen to whole cells, so that neighbours
    may share some. Edges of bins are exact: in torchvision's float32 the last bin of 31, 57 or 62 cells
    would reach a cell too far. Raises `DataError` when the box leaves the grid.
    """
    (left, top, right, bottom), (height, width) = cells, features.shape[1:]
    if not (0 <= left <= right < width and 0 <= top <= bottom < height):
        raise DataError(f"the box {cells} leaves the grid of {width}x{height} cells; give its first and last cells")
    columns = [features[:, :, span].max(axis=2) for span in _bins(left, right + 1 - left, size)]
    narrow = np.stack(columns, axis=2)
    return np.stack([narrow[:, span].max(axis=1) for span in _bins(top, bottom + 1 - top, size)], axis=1)


def roi_align(features: Float[np.ndarray, "C H W"], box: Box, size: int = 7) -> Float64[np.ndarray, "C {size} {size}"]:
    """The mean of `SAMPLES` x `SAMPLES` bilinear samples in each of `size` x `size` bins (He et al. 2017).

    Values are those of torchvision's `roi_align` with `sampling_ratio=2` and `aligned=True`.
    """
    left, top, right, bottom = box
    height, width = features.shape[1:]
    rows, columns = _sampling(top, bottom, height, size), _sampling(left, right, width, size)
    return rows @ features.astype(np.float64) @ columns.T


def masked_mean(features: Float[np.ndarray, "C H W"], weights: Float64[np.ndarray, "H W"]) -> Float64[np.ndarray, " C"]:
    """The mean feature, each cell weighed by the share of it that the object fills.

    Raises `DataError` when no cell has weight.
    """
    total = weights.sum()
    if not total > 0:
        raise DataError("the mask fills no cell, so there is no mean; leave out frames that do not show the object")
    return features.reshape(len(features), -1).astype(np.float64) @ weights.ravel() / total


def object_features(
    features: Float[np.ndarray, "C H W"], mean: Float64[np.ndarray, " C"], region: Region
) -> dict[str, Float64[np.ndarray, " C"]]:
    """One feature of an object for each name in `OBJECT_FEATURES`.

    - `mean`: the video's mean feature. What all places share makes every cosine high: centred ones are without it.
    """
    filled = masked_mean(features, region.shares)
    aligned = roi_align(features, region.box).mean(axis=(1, 2))
    return dict(zip(OBJECT_FEATURES, (filled, filled - mean, aligned, aligned - mean), strict=True))


def cosine(first: Float64[np.ndarray, " n"], second: Float64[np.ndarray, " n"]) -> float:
    """Of the angle between two vectors; 0 where one has no length, as it resembles nothing."""
    length = np.linalg.norm(first) * np.linalg.norm(second)
    return float(first @ second / length) if length else 0.0


def check_video(features: Float[np.ndarray, "F C H W"], masks: Mapping[str, Bool[np.ndarray, "_ _ _"]]) -> None:
    """Raise `DataError` when there is no object, masks differ in size or in number from the frames, or a feature
    is not finite.
    """
    if not masks:
        raise DataError("there is no object; give masks of at least one")
    height, width = next(iter(masks.values())).shape[1:]
    for name, mask in masks.items():
        if mask.shape != (len(features), height, width):
            raise DataError(
                f"object '{name}' has {len(mask)} masks of {mask.shape[2]}x{mask.shape[1]} pixels and not "
                f"{len(features)} of {width}x{height}; give each object one mask a frame, all of one size"
            )
    check_finite(features)


def check_finite(features: Float[np.ndarray, "F C H W"]) -> None:
    """Raise `DataError` when a feature is not finite."""
    if not np.isfinite(features).all():
        raise DataError("features hold NaN or infinite values; compute them in float32 or bfloat16")


def _bins(start: int, length: int, size: int) -> list[slice]:
    return [slice(start + k * length // size, start - (-(k + 1) * length // size)) for k in range(size)]


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
