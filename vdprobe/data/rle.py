"""Masks as run lengths and as polygons, as COCO and MeViS store them.

Run lengths are `{"size": [height, width], "counts": ...}`. The counts are the lengths of runs of equal pixels, column
by column from the top left, in turn background and object, the first of them background. They come as a list, or
as a string: from the fourth on a count is stored as the difference to the one two before it, in groups of five
bits, the lowest first, each a character from "0" (48) on; the bit of 32 says that another group follows, the bit
of 16 of the last group is the sign (maskApi.c of cocodataset/cocoapi).

Masks are encoded, and polygons filled, by pycocotools: published scores are against masks that it filled. Run lengths
are decoded here: of counts that fill less than the picture pycocotools returns memory that nobody wrote to.
"""

from collections.abc import Mapping, Sized
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from vdprobe.data.picture_size import check_picture_size
from vdprobe.data.video import LackError
from vdprobe.errors import DataError, shown

HOW = 'a mask in run lengths is {"size": [height, width], "counts": a string or whole numbers}; fetch the masks again'
GROUPS = 6
"""Characters of a count: more than 30 bits are more pixels than any picture has that is read."""
PARTS = 5000
"""The most polygons of a mask."""
OUTLINE = 2_000_000
"""The longest outline of a mask, in pixels: the work and the memory of filling it grow with that."""


def decode_rle(rle: Any, size: tuple[int, int], where: str) -> Bool[np.ndarray, "H W"]:
    """The mask of run lengths for a picture of `size` (height, width).

    Raises `DataError`, which `where` tells the place, when they are malformed or do not fill the picture.
    """
    own, counts = (rle.get("size"), rle.get("counts")) if isinstance(rle, Mapping) else (None, None)
    if not isinstance(own, list | tuple) or len(own) != 2 or not all(_is_count(side) for side in own):
        raise DataError(f"{where}: {HOW}")
    if tuple(own) != tuple(size):
        sizes = f"is {shown(own[1])}x{shown(own[0])} pixels and its picture {size[1]}x{size[0]}"
        raise LackError(
            f"{where}: its mask {sizes}; masks and pictures must have one size", "masks of another size or kind"
        )
    check_picture_size(where, size[1], size[0])
    pixels = size[0] * size[1]
    # each run but the first is a pixel at least: more counts are only there to take memory
    most = (pixels + 1) * (1 if isinstance(counts, list | tuple) else GROUPS)
    runs = _runs_of(counts if not isinstance(counts, Sized) or len(counts) <= most else None, where)
    # each by itself first: of counts that are checked the sum cannot leave 64 bits
    if (len(runs) and (runs.min() < 0 or runs.max() > pixels)) or runs.sum() != pixels:
        raise DataError(f"{where}: the run lengths do not fill {size[1]}x{size[0]} pixels; fetch the masks again")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size[1], size[0]).T


def encode_rle(mask: Bool[np.ndarray, "H W"]) -> dict[str, Any]:
    """Run lengths of a mask, the counts as a string: ready for JSON."""
    from pycocotools.mask import encode

    if not mask.size:  # pycocotools takes none without pixels
        return {"size": list(mask.shape), "counts": "0"}
    return {"size": list(mask.shape), "counts": encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()}


def decode_segmentation(value: Any, size: tuple[int, int], where: str) -> Bool[np.ndarray, "H W"]:
    """The mask of a COCO annotation, given as polygons or run lengths, for a picture of `size` (height, width)."""
    if isinstance(value, Mapping):
        return decode_rle(value, size, where)
    from pycocotools.mask import frPyObjects, merge

    _check_polygons(value, size, where)
    outlines = frPyObjects([[float(number) for number in points] for points in value], *size)
    return decode_rle(merge(outlines), size, where)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _runs_of(counts: Any, where: str) -> Int64[np.ndarray, " runs"]:
    if isinstance(counts, list | tuple) and all(_is_count(count) for count in counts):
        return np.array([min(count, 2**40) for count in counts], dtype=np.int64)
    if isinstance(counts, str) and counts.isascii():
        counts = counts.encode("ascii")
    runs = _decode_string(counts) if isinstance(counts, bytes) else None
    if runs is None:
        raise DataError(f"{where}: {HOW}")
    return runs


def _decode_string(text: bytes) -> Int64[np.ndarray, " runs"] | None:
    """The counts of a string, None for what is no such string."""
    codes = np.frombuffer(text, dtype=np.uint8).astype(np.int64) - 48
    last = codes & 32 == 0
    if not len(codes) or not last[-1] or codes.min() < 0 or codes.max() > 63:
        return None
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    if (ends - starts).max() >= GROUPS:
        return None
    bits = 5 * (np.arange(len(codes)) - np.repeat(starts, ends - starts + 1))
    runs = np.add.reduceat((codes & 31) << bits, starts)
    runs -= np.where(codes[ends] & 16, 32 << bits[ends], 0)
    for first in (1, 2):  # the first three counts stand for themselves
        runs[first::2] = np.cumsum(runs[first::2])
    return runs


def _check_polygons(value: Any, size: tuple[int, int], where: str) -> None:
    """Raises `DataError` for what pycocotools would fill at any cost, with nothing, or with something else."""
    height, width = size
    check_picture_size(where, width, height)
    if not isinstance(value, list | tuple) or not value or not all(_is_polygon(points) for points in value):
        raise DataError(f"{where}: its segmentation is neither polygons [[x, y, ...]] nor run lengths")
    if len(value) > PARTS:
        raise DataError(f"{where}: its segmentation has {len(value)} polygons, {PARTS} are the most; give run lengths")
    reach, outline = max(height, width), 0.0
    for points in value:
        for first, side in ((0, width), (1, height)):
            far = next((number for number in points[first::2] if not -reach <= number <= side + reach), None)
            if far is not None:
                what = f"a polygon has a corner at {'xy'[first]} = {shown(far)}, far from its picture of"
                raise DataError(f"{where}: {what} {width}x{height} pixels; fetch the file again")
        corners = np.array(points, dtype=np.float64).reshape(-1, 2)
        outline += float(np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1).sum()) + len(corners)
    if outline > OUTLINE:
        raise DataError(
            f"{where}: the outline of its polygons is {outline:,.0f} pixels long, {OUTLINE:,} are the most that are "
            "filled; give run lengths"
        )


def _is_polygon(points: Any) -> bool:
    if not isinstance(points, list | tuple) or len(points) < 6 or len(points) % 2:
        return False
    return all(isinstance(number, int | float) and not isinstance(number, bool) for number in points)
