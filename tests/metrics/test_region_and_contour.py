"""J and F: cases whose answer is known, and the algorithm of davis2017-evaluation on the whole frame."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vdprobe.metrics.contour import contour_accuracy
from vdprobe.metrics.region import region_similarity

SHAPE = (20, 30)
EMPTY, FULL = np.zeros(SHAPE, bool), np.ones(SHAPE, bool)


def rectangle(top, left, bottom, right, shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


INNER = rectangle(5, 5, 15, 15)


def boundary(mask):
    right, below, diagonal = (np.zeros_like(mask) for _ in range(3))
    right[:, :-1], below[:-1, :], diagonal[:-1, :-1] = mask[:, 1:], mask[1:, :], mask[1:, 1:]
    found = mask ^ right | mask ^ below | mask ^ diagonal
    found[-1, :] = mask[-1, :] ^ right[-1, :]
    found[:, -1] = mask[:, -1] ^ below[:, -1]
    found[-1, -1] = False
    return found


def within(points, radius):
    """Pixels no further than `radius` from one of `points`."""
    span = np.arange(-radius, radius + 1)
    disk = span[:, None] ** 2 + span**2 <= radius**2
    near = np.pad(np.zeros_like(points), radius)
    for y, x in np.argwhere(points):
        near[y : y + len(span), x : x + len(span)] |= disk
    return near[radius:-radius, radius:-radius]


def plain_contour(prediction, truth):
    """One frame as davis2017-evaluation has it, on the whole frame."""
    radius = int(np.ceil(0.008 * np.linalg.norm(prediction.shape)))
    ours, theirs = boundary(prediction), boundary(truth)
    if not ours.sum() and not theirs.sum():
        precision, recall = 1, 1
    elif not theirs.sum():
        precision, recall = 0, 1
    elif not ours.sum():
        precision, recall = 1, 0
    else:
        precision = np.sum(ours & within(theirs, radius)) / float(np.sum(ours))
        recall = np.sum(theirs & within(ours, radius)) / float(np.sum(theirs))
    return 0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize(
    ("prediction", "truth", "j", "f"),
    [
        (EMPTY, EMPTY, 1, 1),
        (EMPTY, INNER, 0, 0),
        (INNER, EMPTY, 0, 0),
        (INNER, INNER, 1, 1),
        (FULL, FULL, 1, 1),
        (FULL, EMPTY, 0, 1),  # a mask that fills the frame has no boundary
        (FULL, INNER, 1 / 6, 0),
        (rectangle(0, 0, 20, 10), rectangle(0, 0, 20, 10), 1, 1),
        (rectangle(0, 0, 20, 10), rectangle(0, 0, 20, 11), 10 / 11, 1),  # one pixel apart: within the radius
        (rectangle(0, 0, 20, 10), rectangle(0, 0, 20, 12), 10 / 12, 0),
        (rectangle(10, 20, 20, 30), rectangle(11, 21, 20, 30), 81 / 100, 40 / 41),  # all but the outer corner
        (INNER, rectangle(5, 16, 15, 26), 0, 11 / 40),  # one side of each square meets
    ],
)
def test_known_answers(prediction, truth, j, f):
    assert region_similarity(prediction[None], truth[None]).tolist() == [pytest.approx(j, abs=1e-15)]
    assert contour_accuracy(prediction[None], truth[None]).tolist() == [pytest.approx(f, abs=1e-15)]


def test_void_pixels_count_for_neither_mask():
    prediction, truth, void = INNER[None], rectangle(5, 5, 15, 25)[None], rectangle(0, 15, 20, 30)[None]
    assert region_similarity(prediction, truth) == 0.5
    assert region_similarity(prediction, truth, void) == contour_accuracy(prediction, truth, void) == 1
    assert contour_accuracy(prediction, truth) < 1
    assert region_similarity(prediction, truth, FULL[None]) == contour_accuracy(prediction, truth, FULL[None]) == 1


@pytest.mark.parametrize("frames", [0, 1, 2, 3, 4, 5, 300])
def test_each_frame_has_its_own_score(frames):
    """Frame k is right where k is even and empty where it is odd."""
    truth = np.broadcast_to(INNER, (frames, *SHAPE))
    prediction = truth & (np.arange(frames) % 2 == 0)[:, None, None]
    expected = [float(k % 2 == 0) for k in range(frames)]
    assert region_similarity(prediction, truth).tolist() == expected
    assert contour_accuracy(prediction, truth).tolist() == expected


@st.composite
def pairs(draw):
    """Two masks of one size: noise, or rectangles that often touch the border or lie apart."""
    shape = draw(st.tuples(st.integers(1, 24), st.integers(1, 24)))
    if draw(st.booleans()):
        return draw(st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape)))
    sides = [st.tuples(st.integers(0, side), st.integers(0, side)).map(sorted) for side in shape]
    spans = [draw(st.tuples(*sides)) for _ in range(2)]
    return tuple(rectangle(y[0], x[0], y[1], x[1], shape) for y, x in spans)


@given(pairs())
def test_scores_are_symmetric_shares_and_whole_for_equal_masks(pair):
    a, b = (mask[None] for mask in pair)
    for score in (region_similarity, contour_accuracy):
        assert score(a, b) == score(b, a)
        assert 0 <= score(a, b) <= 1
        assert score(a, a) == 1


@settings(deadline=None)
@given(pairs())
def test_contour_equals_the_plain_algorithm_to_the_bit(pair):
    assert contour_accuracy(pair[0][None], pair[1][None])[0] == plain_contour(*pair)


@pytest.mark.parametrize(("shape", "radius"), [((20, 30), 1), ((150, 200), 2), ((300, 400), 4), ((480, 854), 8)])
def test_contour_equals_the_plain_algorithm_on_large_frames(shape, radius):
    rng = np.random.default_rng(0)
    assert np.ceil(0.008 * np.linalg.norm(shape)) == radius
    for _ in range(3):
        y, x = (rng.integers(-radius - 2, radius + 3, 2) for _ in range(2))
        height, width = shape[0] // 3, shape[1] // 3
        truth = rectangle(height, width, 2 * height, 2 * width, shape)
        prediction = rectangle(height + y[0], width + x[0], 2 * height + y[1], 2 * width + x[1], shape)
        assert contour_accuracy(prediction[None], truth[None])[0] == plain_contour(prediction, truth)


@pytest.mark.parametrize("thickness", [1, 2, 3, 5, 8, 12])
def test_contour_of_objects_thinner_than_the_radius_equals_the_plain_algorithm(thickness):
    """Their box has fewer rows than the disk."""
    shape = (480, 854)
    truth = rectangle(200, 100, 200 + thickness, 180, shape)
    for y, x in [(0, 0), (3, 0), (0, 7), (6, 6), (9, 0), (0, 9)]:
        prediction = np.roll(truth, (y, x), (0, 1))
        for a, b in [(prediction, truth), (prediction.T, truth.T)]:
            assert contour_accuracy(a[None], b[None])[0] == plain_contour(a, b)


@pytest.mark.parametrize(("shift", "f"), [(0, 1), (1, 1), (320, 1), (321, 0.5), (421, 0.5), (422, 0)])
def test_contour_of_a_frame_so_wide_that_the_radius_spans_several_words(shift, f):
    """A single row: an object of 101 pixels has two boundary pixels, 101 apart, and the radius is 320."""
    truth = rectangle(0, 9_000, 1, 9_101, (1, 39_999))
    prediction = np.roll(truth, shift, 1)
    assert contour_accuracy(prediction[None], truth[None]).tolist() == [f]
    assert contour_accuracy(truth[None], prediction[None]).tolist() == [f]
