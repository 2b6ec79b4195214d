import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw

from vdprobe.data.polygons import fill_polygon
from vdprobe.data.rle import decode_rle, decode_segmentation, encode_rle
from vdprobe.errors import DataError

needs_pycocotools = pytest.mark.skipif(
    importlib.util.find_spec("pycocotools") is None, reason="pycocotools is not installed: its recorded values are used"
)
sides = st.tuples(st.integers(1, 40), st.integers(1, 40))
masks = sides.flatmap(lambda size: arrays(bool, size, elements=st.booleans()) | st.just(np.zeros(size, bool)))

# as pycocotools 2.0.11 writes and fills them
RING = np.array([[0, 1, 1, 1, 0], [1, 1, 0, 1, 1], [0, 1, 1, 1, 0]], dtype=bool)
LONG = np.zeros(1_000_000, bool)
for start, stop in ((5, 6), (40_000, 900_000), (900_001, 900_002), (999_999, 1_000_000)):
    LONG[start:stop] = True
STRINGS = [
    (RING, "1113000M0"),
    (~RING, "01103000M0"),
    (np.zeros((3, 5), bool), "?"),
    (np.ones((3, 5), bool), "0?"),
    (LONG.reshape(1000, 1000).T, "51jQW1ojWj0WnhNQUhUOldQ30"),
]
POLYGONS = [
    ([[0, 0], [7.5, 0.4], [4.2, 3.9]], [".######.", "..####..", "...###..", "....#..."]),
    # corners beside the picture, edges that cross
    ([[-3, -2], [9, 5], [9, -2], [-3, 5.0]], ["#....###", "########", "#....###", "......##"]),
]


def runs(mask):
    """Counts as a list, by going through the pixels."""
    out, value = [0], False
    for pixel in mask.T.ravel():
        if pixel != value:
            out.append(0)
            value = not value
        out[-1] += 1
    return out


@given(masks)
def test_what_is_encoded_is_decoded_in_both_forms(mask):
    rle = encode_rle(mask)
    assert rle["size"] == list(mask.shape)
    back = decode_rle(rle, "here")
    assert back.dtype == bool and np.array_equal(back, mask)
    assert np.array_equal(decode_rle(rle | {"counts": rle["counts"].encode()}, "here"), mask)
    assert np.array_equal(decode_rle({"size": mask.shape, "counts": runs(mask)}, "here"), mask)


@pytest.mark.parametrize(("mask", "counts"), STRINGS)
def test_recorded_strings(mask, counts):
    assert encode_rle(mask)["counts"] == counts
    assert np.array_equal(decode_rle({"size": mask.shape, "counts": counts}, "here"), mask)


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        ({"size": [3, 5], "counts": "114O1N"}, "run lengths do not fill 5x3 pixels"),
        ({"size": [3, 5], "counts": [1, 2]}, "run lengths do not fill 5x3 pixels"),
        ({"size": [3, 5], "counts": [20, -5]}, "run lengths do not fill 5x3 pixels"),
        ({"size": [3, 5], "counts": "P"}, "a mask in run lengths is"),  # says that more follows
        ({"size": [3, 5], "counts": " \n"}, "a mask in run lengths is"),
        ({"size": [3, 5], "counts": "\u00e9"}, "a mask in run lengths is"),
        ({"size": [3, 5], "counts": "P" * 20 + "0"}, "a mask in run lengths is"),
        ({"size": [3], "counts": "?"}, "a mask in run lengths is"),
        ({"size": [3, 5]}, "a mask in run lengths is"),
        ({"size": [3, 5], "counts": None}, "a mask in run lengths is"),
        ({"size": [3, 5], "counts": ""}, "a mask in run lengths is"),
    ],
)
def test_broken_run_lengths(rle, message):
    with pytest.raises(DataError, match=f"here: .*{message}|here: {message}") as caught:
        decode_rle(rle, "here")
    assert "\n" not in str(caught.value)


# polygons


@pytest.mark.parametrize(("corners", "rows"), POLYGONS)
def test_recorded_polygons(corners, rows):
    filled = fill_polygon(np.array(corners), (4, 8))
    assert ["".join(".#"[int(pixel)] for pixel in row) for row in filled] == rows


def test_a_box_is_its_pixels():
    expected = np.zeros((9, 12), bool)
    expected[2:6, 3:10] = True
    corners = np.array([[3, 2], [10, 2], [10, 6], [3, 6.0]])
    for points in (corners, corners[::-1], np.roll(corners, 1, axis=0)):
        assert np.array_equal(fill_polygon(points, (9, 12)), expected)


def blob(rng):
    angles = np.sort(rng.uniform(0, 2 * np.pi, 14))
    radii = rng.uniform(12, 22, 14)
    return 40 + np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def test_pillow_is_close_but_not_equal():
    """Why polygons are not left to Pillow."""
    rng = np.random.default_rng(0)
    ious = []
    for _ in range(20):
        points = blob(rng)
        image = Image.new("1", (80, 80))
        ImageDraw.Draw(image).polygon([tuple(point) for point in points], fill=1, outline=1)
        ours, theirs = fill_polygon(points, (80, 80)), np.asarray(image)
        ious.append((ours & theirs).sum() / (ours | theirs).sum())
    assert 0.92 < np.mean(ious) < 0.97


def test_parts_of_an_object_are_joined():
    parts = [[0, 0, 4, 0, 4, 4, 0, 4], [2, 2, 8, 2, 8, 6, 2, 6]]
    expected = np.zeros((10, 10), bool)
    expected[:4, :4] = expected[2:6, 2:8] = True
    assert np.array_equal(decode_segmentation(parts, (10, 10), "here"), expected)  # and not the parts' difference


@pytest.mark.parametrize("value", [[], None, "x", [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6, 7]], [[0, 0, 1, "1", 2, 2]]])
def test_broken_segmentations(value):
    with pytest.raises(DataError, match=r"here: its segmentation is neither polygons .* nor run lengths"):
        decode_segmentation(value, (4, 4), "here")


@needs_pycocotools
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its own, of numpy
@settings(max_examples=200, deadline=None)
@given(masks, st.integers(0, 2**32 - 1))
def test_equal_to_pycocotools(mask, seed):
    from pycocotools import mask as theirs

    encoded = theirs.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert encode_rle(mask)["counts"] == encoded["counts"].decode()
    rng = np.random.default_rng(seed)
    points = rng.uniform(-5, 45, (rng.integers(3, 12), 2))
    filled = theirs.decode(theirs.frPyObjects([points.ravel().tolist()], *map(int, mask.shape)))[..., 0]
    assert np.array_equal(fill_polygon(points, mask.shape), filled.astype(bool))
