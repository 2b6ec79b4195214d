from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vdprobe.data.rle import decode_rle, decode_segmentation, encode_rle
from vdprobe.errors import DataError

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
    back = decode_rle(rle, mask.shape, "here")
    assert back.dtype == bool and np.array_equal(back, mask)
    assert np.array_equal(decode_rle(rle | {"counts": rle["counts"].encode()}, mask.shape, "here"), mask)
    assert np.array_equal(decode_rle({"size": mask.shape, "counts": runs(mask)}, mask.shape, "here"), mask)


@pytest.mark.parametrize(("mask", "counts"), STRINGS)
def test_recorded_strings(mask, counts):
    assert encode_rle(mask)["counts"] == counts
    assert np.array_equal(decode_rle({"size": mask.shape, "counts": counts}, mask.shape, "here"), mask)


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        ({"size": [3, 5], "counts": "114O1N"}, "run lengths do not fill 5x3 pixels"),
        ({"size": [3, 5], "counts": [1, 2]}, "run lengths do not fill 5x3 pixels"),
        ({"size": [3, 5], "counts": [20, -5]}, "a mask in run lengths is"),
        ({"size": [3, 5], "counts": "P"}, "a mask in run lengths is"),  # says that more follows
        ({"size": [3, 5], "counts": " \n"}, "a mask in run lengths is"),
        ({"size": [3, 5], "counts": "\u00e9"}, "a mask in run lengths is"),
        ({"size": [3, 5], "counts": "P" * 20 + "0"}, "a mask in run lengths is"),
        ({"size": [3], "counts": "?"}, "a mask in run lengths is"),
        ({"size": [3, 5]}, "a mask in run lengths is"),
        ({"size": [3, 5], "counts": None}, "a mask in run lengths is"),
        ({"size": [3, 5], "counts": ""}, "a mask in run lengths is"),
        # a sum that is 15 in 64 bits: writes far behind the picture
        ({"size": [3, 5], "counts": [2**62, 2**62, 2**62, 2**62 + 15]}, "run lengths do not fill 5x3 pixels"),
        ({"size": [3, 5], "counts": [10**400]}, "run lengths do not fill 5x3 pixels"),
        ({"size": [3, 5], "counts": "oooooooooooo0"}, "a mask in run lengths is"),
        ({"size": [3, 5], "counts": "PPPPP4?"}, "run lengths do not fill 5x3 pixels"),
        ({"size": [3, 5], "counts": [15.0]}, "a mask in run lengths is"),
        ({"size": [3, 5], "counts": [14.5, 0.5]}, "a mask in run lengths is"),
        ({"size": [3, 5], "counts": [True] * 15}, "a mask in run lengths is"),
        ({"size": [3, 5], "counts": [["15"]]}, "a mask in run lengths is"),
        ({"size": [3, True], "counts": [3]}, "a mask in run lengths is"),
        ({"size": [3, -5], "counts": [15]}, "a mask in run lengths is"),
        ({"size": [5, 3], "counts": [15]}, "its mask is 3x5 pixels and its picture 5x3"),
        ({"size": [2**40, 2**40], "counts": [2**80]}, "its mask is 1099511627776x1099511627776 pixels"),
        ([15], "a mask in run lengths is"),
        ({"size": [3, 5], "counts": [15] + [0] * 100}, "a mask in run lengths is"),
        ({"size": [3, 5], "counts": "?" + "0" * 100}, "a mask in run lengths is"),
    ],
)
def test_broken_run_lengths(rle, message):
    with pytest.raises(DataError, match=f"here: .*{message}|here: {message}") as caught:
        decode_rle(rle, (3, 5), "here")
    assert "\n" not in str(caught.value)


# polygons


@pytest.mark.parametrize(("corners", "rows"), POLYGONS)
def test_recorded_polygons(corners, rows):
    filled = decode_segmentation([np.array(corners).ravel().tolist()], (4, 8), "here")
    assert ["".join(".#"[int(pixel)] for pixel in row) for row in filled] == rows


def test_a_box_is_its_pixels():
    expected = np.zeros((9, 12), bool)
    expected[2:6, 3:10] = True
    corners = np.array([[3, 2], [10, 2], [10, 6], [3, 6.0]])
    for points in (corners, corners[::-1], np.roll(corners, 1, axis=0)):
        assert np.array_equal(decode_segmentation([points.ravel().tolist()], (9, 12), "here"), expected)


def test_parts_of_an_object_are_joined():
    parts = [[0, 0, 4, 0, 4, 4, 0, 4], [2, 2, 8, 2, 8, 6, 2, 6]]
    expected = np.zeros((10, 10), bool)
    expected[:4, :4] = expected[2:6, 2:8] = True
    assert np.array_equal(decode_segmentation(parts, (10, 10), "here"), expected)  # and not the parts' difference


@pytest.mark.parametrize("value", [[], None, "x", [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6, 7]], [[0, 0, 1, "1", 2, 2]]])
def test_broken_segmentations(value):
    with pytest.raises(DataError, match=r"here: its segmentation is neither polygons .* nor run lengths"):
        decode_segmentation(value, (4, 4), "here")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[0, 0, 1e8, 0, 2, 2]], "a corner at x = 100000000.0, far from its picture of 12x9 pixels"),
        ([[0, 0, 4, -1e300, 2, 2]], r"a corner at y = -1e\+300, far from"),
        ([[0, 0, 4, float("nan"), 2, 2]], "a corner at y = nan, far from"),
        ([[0, 0, 4, float("inf"), 2, 2]], "a corner at y = inf, far from"),
        ([[0, 0, 4, 10**400, 2, 2]], r"a corner at y = 1000+\.\.\.0+ \(401 characters\), far from"),
        ([[0, 0, 12, 8] * 250_000], r"the outline of its polygons is \d+,\d+,\d+ pixels long, 2,000,000 are the most"),
        ([[0, 0, 12, 8, 0, 8] * 1000] * 100, "the outline of its polygons is"),
        ([[0, 0, 1, 0, 1, 1]] * 5001, "has 5001 polygons, 5000 are the most"),
    ],
)
def test_polygons_that_would_take_all_memory_or_time(value, message):
    with pytest.raises(DataError, match=f"here: .*{message}") as caught:
        decode_segmentation(value, (9, 12), "here")
    assert len(str(caught.value)) < 300


def test_a_picture_larger_than_any_is_not_filled():
    for value in ([[0, 0, 1, 0, 1, 1]], {"size": [2**20, 2**20], "counts": [2**40]}):
        with pytest.raises(DataError, match="here declares 1048576x1048576 pixels"):
            decode_segmentation(value, (2**20, 2**20), "here")


@settings(max_examples=200, deadline=None)
@given(masks)
def test_the_strings_of_pycocotools_are_read_as_it_reads_them(mask):
    from pycocotools.mask import encode

    theirs = encode(np.asfortranarray(mask.astype(np.uint8)))
    assert np.array_equal(decode_rle(theirs, mask.shape, "here"), mask)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(min_codepoint=40, max_codepoint=115), max_size=12) | st.lists(st.integers()))
def test_counts_fill_the_picture_or_are_refused(counts):
    with suppress(DataError):
        assert decode_rle({"size": [4, 6], "counts": counts}, (4, 6), "here").shape == (4, 6)
