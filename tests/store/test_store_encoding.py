import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vdprobe.errors import FeatureError
from vdprobe.store.checksum import extend
from vdprobe.store.encoding import BLOCK, decode, encode, scan

SHAPES = hnp.array_shapes(min_dims=5, max_dims=5, max_side=3)


def arrays(dtype: type) -> st.SearchStrategy[np.ndarray]:
    width = np.dtype(dtype).itemsize * 8
    finite = st.floats(width=width, allow_nan=False, allow_infinity=False)
    return hnp.arrays(dtype, SHAPES, elements=finite)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@given(arrays(np.float16))
def test_float16_is_kept_bit_for_bit(values):
    stored = encode(values, "float16")
    assert same_bits(decode(stored.data, "float16"), values)
    assert np.shares_memory(stored.data, values)
    assert stored.stats == {"min": values.min(), "max": values.max(), "nonfinite": 0}


@given(arrays(np.float32))
def test_float32_is_kept_bit_for_bit(values):
    stored = encode(values, "float32")
    assert same_bits(decode(stored.data, "float32"), values)
    assert stored.stats == {"min": values.min(), "max": values.max(), "nonfinite": 0}


@given(arrays(np.float16))
def test_float16_widens_exactly(values):
    assert same_bits(decode(encode(values, "float32").data, "float32"), values.astype(np.float32))


@given(hnp.arrays(np.uint16, SHAPES))
def test_every_finite_bfloat16_is_kept_bit_for_bit(bits):
    values = decode(bits, "bfloat16")
    values[~np.isfinite(values)] = 1.5
    stored = encode(values, "bfloat16")
    assert same_bits(decode(stored.data, "bfloat16"), values)
    assert stored.stats == {"min": values.min(), "max": values.max(), "nonfinite": 0}


@given(st.integers(0, 0x7F7E), st.booleans())
def test_bfloat16_rounds_to_nearest_and_ties_to_even(bits, negative):
    low, high = (np.array([b], np.uint32) << 16 for b in (bits, bits + 1))
    sign = np.uint32(0x80000000 if negative else 0)
    even = bits if bits % 2 == 0 else bits + 1
    for offset, expected in ((1, bits), (0x7FFF, bits), (0x8000, even), (0x8001, bits + 1), (0xFFFF, bits + 1)):
        values = (low + np.uint32(offset) | sign).view(np.float32).reshape(1, 1, 1, 1, 1)
        if expected > 0x7F7F:
            continue
        assert encode(values, "bfloat16").data.item() == expected | (0x8000 if negative else 0)
    assert high > low


@given(arrays(np.float32))
def test_int8_error_is_half_a_step_and_recorded(values):
    stored = encode(values, "int8")
    back = decode(stored.data, "int8", stored.scale)
    assert back.dtype == np.float32 and np.isfinite(back).all()
    error = np.abs(back.astype(np.float64) - values)
    tiny = 127 * np.finfo(np.float32).tiny  # below it, a channel is stored as zero
    step = stored.scale[:, None, :, None, None].astype(np.float64)
    assert (error <= np.maximum(step * (0.5 + 1e-4), tiny)).all()
    assert stored.stats["max_abs_error"] == pytest.approx(error.max(), rel=1e-3, abs=1e-37)
    assert (np.abs(stored.data.astype(int)) <= 127).all()


def test_int8_of_the_largest_float_stays_finite():
    values = np.full((1, 1, 1, 1, 2), np.finfo(np.float32).max, np.float32)
    stored = encode(values, "int8")
    np.testing.assert_allclose(decode(stored.data, "int8", stored.scale), values, rtol=1e-6)


def test_int8_errors_of_one_channel_do_not_touch_another():
    values = np.ones((1, 2, 2, 3, 3), np.float32)
    values[:, :, 1] = 1e6
    stored = encode(values, "int8")
    np.testing.assert_allclose(decode(stored.data, "int8", stored.scale), values, rtol=1e-6)
    assert stored.stats["relative_rms_error"] < 1e-6


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int8"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_values_that_are_not_finite_are_refused(dtype, bad, kind):
    values = np.full((1, 2, 3, 4, 5), -2.5, kind)
    values[0, 1, 2, 3, 4] = bad
    with pytest.raises(FeatureError, match=r"tap 'up.1': 1 of 120 values are NaN or .*2\.5.*compute in float32"):
        encode(values, dtype, tap="up.1")


def test_nan_of_any_payload_is_refused():
    values = np.full((1, 1, 1, 1, 2), 0xFFFFFFFF, np.uint32).view(np.float32)
    for dtype in ("float16", "bfloat16", "float32", "int8"):
        with pytest.raises(FeatureError):
            encode(values, dtype)


@pytest.mark.parametrize(
    ("dtype", "fits", "overflows", "remedy"),
    [("float16", 65519.0, 65520.0, "bfloat16 or float32"), ("bfloat16", 3.389e38, 3.4e38, "float32")],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_overflow_is_counted_and_refused(dtype, fits, overflows, remedy, sign):
    values = np.zeros((1, 1, 2, 2, 2), np.float32)
    values[0, 0, 0] = sign * fits
    encode(values, dtype)
    values[0, 0, 0] = sign * overflows
    expected = rf"tap 'up.1': 4 of 8 values overflow {dtype} .*{overflows:g}.*store dtype {remedy}"
    with pytest.raises(FeatureError, match=expected.replace("+", r"\+")):
        encode(values, dtype, tap="up.1")


def test_other_dtypes_are_refused():
    with pytest.raises(FeatureError, match="float64"):
        encode(np.zeros((1, 1, 1, 1, 1)), "float32")


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("shift", [-9, 0, 9], ids=["negative", "both", "positive"])
def test_scan_of_many_blocks_finds_extremes_and_checksum(dtype, shift):
    values = (np.random.default_rng(0).normal(shift, 1, 3 * BLOCK // 4 + 7)).clip(-14, 14).astype(dtype)
    found = scan(values, dtype)
    assert (found.low, found.high, found.finite) == (values.min(), values.max(), True)
    assert found.crc == extend(0, values.tobytes())
    for where in (0, values.size // 2, values.size - 1):
        for bad in (np.nan, -np.nan, np.inf, -np.inf):
            broken = values.copy()
            broken[where] = bad
            assert not scan(broken, dtype).finite
