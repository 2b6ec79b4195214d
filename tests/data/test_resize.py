from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vdprobe.data.resize import PAD_COLOUR, prepare_frames, target_size
from vdprobe.errors import DataError
from vdprobe.specs.video import Resize


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ((480, 854), (360, 640)),
        ((480, 910), (338, 640)),
        ((720, 1280), (360, 640)),
        ((1280, 720), (640, 360)),
        ((240, 432), (356, 640)),
        ((360, 360), (360, 360)),
        ((500, 333), (540, 360)),
    ],
)
def test_target_size_known_answers(source, expected):
    assert target_size(*source, Resize()) == expected


def detr_size(w, h, size, max_size):
    """The rule as DETR words it; returns (height, width)."""
    if max_size is not None:
        low, high = float(min(w, h)), float(max(w, h))
        if high / low * size > max_size:
            size = round(max_size * low / high)
    if (w <= h and w == size) or (h <= w and h == size):
        return h, w
    if w < h:
        return int(size * h / w), size
    return size, int(size * w / h)


@given(st.integers(8, 2000), st.integers(8, 2000), st.integers(64, 500), st.none() | st.integers(500, 900))
def test_target_size_is_the_rule_of_detr(height, width, short, long):
    resize = Resize(short_side=short, long_side=long)
    assert target_size(height, width, resize) == detr_size(width, height, short, long)


def test_size_can_be_kept():
    assert target_size(479, 853, Resize(short_side=None, long_side=None)) == (479, 853)


def test_a_side_of_zero_is_an_error():
    with pytest.raises(DataError, match=r"2000x1 pixels would be resized to a height or width of 0"):
        target_size(1, 2000, Resize())


def test_padding_is_right_and_bottom_in_the_mean_colour():
    frames = np.full((2, 30, 50, 3), 255, dtype=np.uint8)
    out = prepare_frames(frames, Resize(short_side=None, long_side=None, multiple=16))
    assert out.pixels.shape == (2, 3, 32, 64)
    assert out.pixels.dtype == np.float32
    assert out.size == out.source_size == (30, 50)
    assert (out.pixels[:, :, :30, :50] == 1).all()
    for channel, mean in enumerate(PAD_COLOUR):
        assert out.pixels[:, channel, 30:] == pytest.approx(mean * 2 - 1, abs=1e-6)
        assert out.pixels[:, channel, :, 50:] == pytest.approx(mean * 2 - 1, abs=1e-6)


def test_nothing_is_padded_at_a_multiple():
    out = prepare_frames(np.zeros((1, 32, 48, 3), dtype=np.uint8), Resize(short_side=None, long_side=None))
    assert out.pixels.shape == (1, 3, 32, 48)
    assert (out.pixels == -1).all()


def test_channels_stay_in_place_and_the_resize_filters():
    frames = np.zeros((1, 64, 64, 3), dtype=np.uint8)
    frames[..., 0] = 200
    frames[0, ::2, :, 1] = 255  # a stripe every other line: without a filter it would survive as 0 or 255
    out = prepare_frames(frames, Resize(short_side=16, long_side=None))
    assert out.pixels.shape == (1, 3, 16, 16)
    assert out.pixels[0, 0] == pytest.approx(200 / 255 * 2 - 1, abs=1e-6)
    assert out.pixels[0, 1, 1:-1] == pytest.approx(0, abs=0.05)
    assert (out.pixels[0, 2] == -1).all()


@given(st.integers(20, 60), st.integers(20, 60), st.none() | st.integers(16, 40))
def test_a_flip_mirrors_the_picture_and_leaves_the_padding(height, width, short):
    frames = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    resize = Resize(short_side=short, long_side=None)
    plain, flipped = (prepare_frames(frames, replace(resize, flip=flip)) for flip in (False, True))
    mirrored = prepare_frames(np.ascontiguousarray(frames[:, :, ::-1]), resize)
    assert np.array_equal(flipped.pixels, mirrored.pixels)
    assert (flipped.size, flipped.source_size) == (plain.size, plain.source_size)
    rows, columns = plain.size
    if short is None:
        assert np.array_equal(flipped.pixels[:, :, :rows, :columns], plain.pixels[:, :, :rows, columns - 1 :: -1])
    assert np.array_equal(flipped.pixels[:, :, rows:], plain.pixels[:, :, rows:])
    assert np.array_equal(flipped.pixels[..., columns:], plain.pixels[..., columns:])
