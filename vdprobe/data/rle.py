"""Masks as run lengths, as COCO and MeViS store them.

A mask is `{"size": [height, width], "counts": ...}`. The counts are the lengths of runs of equal pixels, column
by column from the top left, in turn background and object, the first of them background. They come as a list, or
as a string: from the fourth on a count is stored as the difference to the one two before it, in groups of five
bits, the lowest first, each a character from "0" (48) on; the bit of 32 says that another group follows, the bit
of 16 of the last group is the sign (maskApi.c of cocodataset/cocoapi).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from vdprobe.errors import DataError

HOW = 'a mask in run lengths is {"size": [height, width], "counts": a string or list}; fetch the masks again'


def decode_rle(rle: Mapping[str, Any], where: str) -> Bool[np.ndarray, "H W"]:
    """The mask of run lengths; raises `DataError`, which `where` tells the place, when they fill no picture."""
    try:
        height, width = (int(side) for side in rle["size"])
        counts = rle["counts"]
        if isinstance(counts, str):
            counts = counts.encode("ascii")
        runs = _runs_of(counts) if isinstance(counts, bytes) else np.array(counts, dtype=np.int64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{where}: {HOW}") from error
    if runs.ndim != 1 or (runs < 0).any() or min(height, width) < 0 or runs.sum() != height * width:
        raise DataError(f"{where}: the run lengths do not fill {width}x{height} pixels; fetch the masks again")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def encode_rle(mask: Bool[np.ndarray, "H W"]) -> dict[str, Any]:
    """Run lengths of a mask, the counts as a string: what `pycocotools.mask.encode` gives, ready for JSON."""
    pixels = np.concatenate([[False], mask.T.ravel()])
    ends = np.flatnonzero(pixels[1:] != pixels[:-1])
    runs = np.diff(ends, prepend=0, append=mask.size).tolist()
    steps = [run - runs[i - 2] if i > 2 else run for i, run in enumerate(runs)]
    return {"size": list(mask.shape), "counts": "".join(_characters(step) for step in steps)}


def _runs_of(text: bytes) -> Int64[np.ndarray, " runs"]:
    codes = np.frombuffer(text, dtype=np.uint8).astype(np.int64) - 48
    last = codes & 32 == 0
    if not len(codes) or not last[-1] or codes.min() < 0 or codes.max() > 63:
        raise ValueError
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    bits = 5 * (np.arange(len(codes)) - np.repeat(starts, ends - starts + 1))
    if bits.max() > 55:  # more than 60 bits: no picture is that large
        raise ValueError
    runs = np.add.reduceat((codes & 31) << bits, starts)
    runs -= np.where(codes[ends] & 16, 32 << bits[ends], 0)
    for first in (1, 2):  # the first three counts stand for themselves
        runs[first::2] = np.cumsum(runs[first::2])
    return runs


def _characters(value: int) -> str:
    out = ""
    while True:
        group, value = value & 31, value >> 5
        done = value == (-1 if group & 16 else 0)
        out += chr(48 + group + (0 if done else 32))
        if done:
            return out


def decode_segmentation(value: Any, size: tuple[int, int], where: str) -> Bool[np.ndarray, "H W"]:
    """The mask of a COCO annotation, given as polygons or run lengths, for a picture of `size` (height, width)."""
    if isinstance(value, Mapping):
        return decode_rle(value, where)
    from vdprobe.data.polygons import fill_polygon

    if not isinstance(value, Sequence) or not value or not all(_is_polygon(points) for points in value):
        raise DataError(f"{where}: its segmentation is neither polygons [[x, y, ...]] nor run lengths")
    return np.any([fill_polygon(np.array(points, dtype=np.float64).reshape(-1, 2), size) for points in value], axis=0)


def _is_polygon(points: Any) -> bool:
    if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
        return False
    return all(isinstance(number, int | float) and np.isfinite(number) for number in points)
