"""From computed features to stored bits and back, and one pass over the bits that says what they hold."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vdprobe.errors import FeatureError
from vdprobe.specs.features import StoreDtype
from vdprobe.store.checksum import extend

STORED = {"float32": "<f4", "float16": "<f2", "bfloat16": "<u2", "int8": "|i1"}
"""Store dtype to the numpy dtype of its bits. zarr has no bfloat16: its bit patterns are kept as uint16."""

EXPONENT = {"float32": 0x7F800000, "float16": 0x7C00, "bfloat16": 0x7F80}
"""The bit pattern of infinity: a finite value's bits, sign aside, are below it."""

LARGEST_STEP = np.nextafter(np.finfo(np.float32).max / np.float32(127), np.float32(0))
"""127 of them are still a finite float32."""

BLOCK = 1 << 18
"""Bytes that stay in a core's own cache while several passes go over them."""


@dataclass(frozen=True)
class Encoded:
    """Stored bits, `(T, F, C, H, W)`; `scale` is float32 `(T, C)` for int8 and None otherwise."""

    data: np.ndarray
    scale: np.ndarray | None
    stats: dict[str, Any]


@dataclass(frozen=True)
class Scan:
    """What one pass over stored floats found; `low` and `high` mean nothing unless `finite`."""

    crc: int
    finite: bool
    low: float
    high: float


def encode(values: np.ndarray, dtype: StoreDtype, *, tap: str = "values") -> Encoded:
    """Float16 or float32 features `(T, F, C, H, W)` as bits of the store dtype.

    - `stats`: `min`, `max`, `nonfinite` (always 0); for int8 also `max_abs_error` and `relative_rms_error`.

    Raises `FeatureError` when a value is NaN or infinite, or becomes so in the store dtype.
    """
    data, scale, stats = convert(values, dtype, tap=tap)
    if dtype != "int8":
        stats = summary([scan(data, dtype)], values, dtype, tap=tap)
    return Encoded(data, scale, stats)


def decode(data: np.ndarray, dtype: StoreDtype, scale: np.ndarray | None = None) -> np.ndarray:
    """Stored bits `(..., F, C, H, W)` as floats: float16 stays float16, the rest gives float32.

    `scale` is `(..., C)`, for int8 only.
    """
    if dtype == "bfloat16":
        return (data.astype(np.uint32) << 16).view(np.float32)
    if scale is not None:
        return np.multiply(data, scale[..., None, :, None, None], dtype=np.float32)
    return data


def convert(values: np.ndarray, dtype: StoreDtype, *, tap: str) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    """The contiguous stored bits, their scale and their error (int8); no copy where none is needed.

    An overflow to infinity is left for `summary` to find in the bits.
    """
    if values.dtype not in (np.float32, np.float16):
        raise FeatureError(f"tap '{tap}': features are {values.dtype}; give float32 or float16 ones")
    values = np.ascontiguousarray(values)
    if dtype == "int8":
        return _quantize(values, tap)
    if dtype == "bfloat16":
        if not np.isfinite(values).all():
            raise _refusal(values, dtype, tap)
        return _round_to_bfloat16(values.astype(np.float32, copy=False)), None, {}
    with np.errstate(over="ignore"):
        return values.astype(STORED[dtype], copy=False), None, {}


def scan(data: np.ndarray, dtype: StoreDtype) -> Scan:
    """Checksum and extremes of contiguous stored bits, block by block.

    Within one sign, floats are ordered as their bits are, so integer maxima (vectorised, also for
    float16, where numpy's float ones are not) find the extremes and any infinity or NaN.
    """
    bits = data.reshape(-1).view(f"u{data.itemsize}")
    sign, infinity = 1 << (8 * data.itemsize - 1), EXPONENT.get(dtype, 0)
    crc, positive, negative, least = 0, -1, -1, 2 * sign
    for start in range(0, bits.size, BLOCK // data.itemsize):
        block = bits[start : start + BLOCK // data.itemsize]
        top, signed_top = int(block.max()), int(block.view(f"i{data.itemsize}").max())
        positive, negative = max(positive, signed_top), max(negative, top)
        if top < sign or signed_top < 0:  # of one sign: its other end is its smallest pattern
            least = min(least, int(block.min()))
        crc = extend(crc, block.view(np.uint8))
    high = positive if positive >= 0 else least
    low = negative if negative >= sign else least
    return Scan(crc, positive < infinity and negative < sign + infinity, _float(low, dtype), _float(high, dtype))


def summary(scans: list[Scan], values: np.ndarray, dtype: StoreDtype, *, tap: str) -> dict[str, Any]:
    """`min`, `max` and `nonfinite` of stored floats. Raises `FeatureError` unless all are finite."""
    if not all(s.finite for s in scans):
        raise _refusal(values, dtype, tap)
    return {"min": min(s.low for s in scans), "max": max(s.high for s in scans), "nonfinite": 0}


def _float(bits: int, dtype: StoreDtype) -> float:
    if dtype == "int8":
        return float(bits)
    stored = np.array([bits], f"<u{np.dtype(STORED[dtype]).itemsize}").view(STORED[dtype])
    return float(decode(stored, dtype)[0])


def _round_to_bfloat16(values: np.ndarray) -> np.ndarray:
    """Round to nearest, ties to even, in integer arithmetic; NaN must not come here."""
    bits = values.view(np.uint32)
    rounded = (bits >> 16) & 1
    rounded += 0x7FFF
    rounded += bits
    rounded >>= 16
    return rounded.astype(STORED["bfloat16"])


def _quantize(values: np.ndarray, tap: str) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Int8 with one step per (timestep, channel), the largest magnitude being 127 steps."""
    low, high = values.min(axis=(1, 3, 4)).astype(np.float32), values.max(axis=(1, 3, 4)).astype(np.float32)
    if not (np.isfinite(low) & np.isfinite(high)).all():
        raise _refusal(values, "int8", tap)
    scale = np.minimum(np.maximum(high, -low) / np.float32(127), LARGEST_STEP)
    scale[scale < np.finfo(np.float32).tiny] = 0  # subnormal steps are too coarse to count in: stored as zero
    data = np.zeros(values.shape, np.int8)
    worst, error_power, power = 0.0, 0.0, 0.0
    for t, f in np.ndindex(values.shape[:2]):
        frame, step = values[t, f].astype(np.float32), scale[t][:, None, None]
        data[t, f] = np.rint(np.divide(frame, step, out=np.zeros_like(frame), where=step > 0))
        error = data[t, f] * step - frame
        worst = max(worst, float(np.abs(error).max()))
        error_power += float(np.square(error, dtype=np.float64).sum())
        power += float(np.square(frame, dtype=np.float64).sum())
    stats = {
        "min": float(low.min()),
        "max": float(high.max()),
        "nonfinite": 0,
        "max_abs_error": worst,
        "relative_rms_error": (error_power / power) ** 0.5 if power else 0.0,
    }
    return data, scale, stats


def _refusal(values: np.ndarray, dtype: StoreDtype, tap: str) -> FeatureError:
    """Why these values cannot be stored: counts them, which is slow and only done on the way out."""
    finite = np.isfinite(values)
    largest = np.abs(values, where=finite, out=np.zeros_like(values)).max()
    head, tail = f"tap '{tap}': ", f"of {values.size} values"
    if not finite.all():
        return FeatureError(
            f"{head}{values.size - int(finite.sum())} {tail} are NaN or infinite as computed "
            f"(largest finite magnitude {largest:g}); compute in float32 or bfloat16"
        )
    lost = values.size - int(np.isfinite(decode(convert(values, dtype, tap=tap)[0], dtype)).sum())
    remedy = "bfloat16 or float32" if dtype == "float16" else "float32"
    return FeatureError(
        f"{head}{lost} {tail} overflow {dtype} (largest finite magnitude {largest:g}); use store dtype {remedy}"
    )
