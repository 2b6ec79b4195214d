import math

import numpy as np
import pytest
import torch

from vdprobe.analyses.roi import (
    OBJECT_FEATURES,
    align_weights,
    area_shares,
    check_features,
    check_finite,
    check_masks,
    cosines,
    locate,
    nearest_mask,
    object_features,
    pool_bins,
    regions_of,
    roi_max_pool,
    tight_box,
)
from vdprobe.errors import DataError


def random(*shape):
    return np.random.default_rng(0).normal(size=shape)


def rectangle(size, left, top, right, bottom):
    """A mask of `size` (height, width) whose pixels end before `right` and `bottom`."""
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return mask


def plain_max_pool(features, cells, size):
    """RoI pooling as its definition reads (Girshick 2015): a loop over bins, of cells that each bin touches."""
    left, top, right, bottom = cells
    tall, wide = max(bottom - top + 1, 1), max(right - left + 1, 1)
    out = np.zeros((len(features), size, size))
    for i in range(size):
        for j in range(size):
            rows = range(top + math.floor(i * tall / size), top + math.ceil((i + 1) * tall / size))
            columns = range(left + math.floor(j * wide / size), left + math.ceil((j + 1) * wide / size))
            for c in range(len(features)):
                out[c, i, j] = max(features[c, y, x] for y in rows for x in columns)
    return out


def plain_align(features, box, size):
    """RoI align as its definition reads (He et al. 2017): four bilinear samples a bin, half a cell shifted."""
    left, top, right, bottom = (edge - 0.5 for edge in box)
    height, width = features.shape[1:]

    def sample(y, x):
        if not (-1 <= y <= height and -1 <= x <= width):
            return 0
        y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
        y0, x0 = int(y), int(x)
        y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
        upper = features[:, y0, x0] * (1 - x + x0) + features[:, y0, x1] * (x - x0)
        lower = features[:, y1, x0] * (1 - x + x0) + features[:, y1, x1] * (x - x0)
        return upper * (1 - y + y0) + lower * (y - y0)

    out = np.zeros((len(features), size, size))
    tall, wide = (bottom - top) / size, (right - left) / size
    for i in range(size):
        for j in range(size):
            places = [(top + (i + a) * tall, left + (j + b) * wide) for a in (0.25, 0.75) for b in (0.25, 0.75)]
            out[:, i, j] = sum(sample(*place) for place in places) / 4
    return out


BOXES = [(0, 0, 0, 0), (3, 2, 3, 9), (2, 1, 15, 11), (0, 0, 13, 6), (5, 4, 12, 5)]


@pytest.mark.parametrize("size", [7, 2])
def test_max_pool_is_that_of_the_plain_loop(size):
    """Of all boxes at once, and of each alone."""
    features = random(3, 12, 16)
    together = roi_max_pool(features, pool_bins(BOXES, (12, 16), size))
    for number, cells in enumerate(BOXES):
        expected = plain_max_pool(features, cells, size)
        assert np.array_equal(together[:, number], expected)
        assert np.array_equal(roi_max_pool(features, pool_bins([cells], (12, 16), size))[:, 0], expected)
    assert roi_max_pool(features, pool_bins([], (12, 16), size)).shape == (3, 0, size, size)


def test_max_pool_of_known_values():
    """Eight columns in 7 bins: each bin touches two, and the box holds its last column."""
    row = np.array([[[9.0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]])
    assert roi_max_pool(row, pool_bins([(1, 0, 8, 0)], (1, 10)))[0, 0].tolist() == [[2, 3, 4, 5, 6, 7, 8]] * 7


def test_no_bin_leaves_the_box():
    """Where 7 times a seventh of the length is rounded up, a bin would end a cell too late."""
    for length in range(1, 130):
        line = np.zeros((1, 1, length + 1))
        line[0, 0, length] = 1
        assert not roi_max_pool(line, pool_bins([(0, 0, length - 1, 0)], (1, length + 1))).any()


@pytest.mark.parametrize(
    "box", [(2.0, 1.0, 9.0, 8.0), (0.0, 0.0, 16.0, 12.0), (3.2, 2.7, 3.9, 10.1), (-4.0, -3.0, 5.0, 30.0)]
)
def test_align_is_the_mean_of_the_plain_loop_s_bins(box):
    features = random(3, 12, 16)
    for size in (1, 7):
        expected = plain_align(features, box, size).mean(axis=(1, 2))
        assert (features * align_weights(box, (12, 16), size)).sum(axis=(1, 2)) == pytest.approx(expected, abs=1e-12)


def test_align_reads_a_ramp_where_its_box_is():
    """A cell's value stands at its middle: around x it has the value x - 0.5."""
    ramp = np.broadcast_to(np.arange(16.0), (12, 16))
    assert (ramp * align_weights((2.0, 3.0, 9.0, 10.0), (12, 16))).sum() == pytest.approx(5)


@pytest.mark.parametrize(("size", "grid"), [((480, 854), (60, 107)), ((96, 128), (12, 16)), ((7, 9), (5, 4))])
def test_nearest_takes_the_pixel_that_pytorch_takes(size, grid):
    mask = random(*size) > 0
    expected = torch.nn.functional.interpolate(torch.from_numpy(mask)[None, None].float(), size=grid, mode="nearest")
    assert np.array_equal(nearest_mask(mask, grid), expected[0, 0].bool().numpy())


def test_shares_are_areas():
    shares = area_shares(rectangle((8, 12), 2, 0, 7, 3), (2, 3))
    assert shares.tolist() == [[2 * 3 / 16, 3 * 3 / 16, 0], [0, 0, 0]]
    # three pixels on two cells: the middle one is cut in half
    assert area_shares(np.array([[False, True, True]]), (1, 2))[0] == pytest.approx([1 / 3, 1])
    mask = random(50, 70) > 0
    assert area_shares(mask, (12, 16)).mean() == pytest.approx(mask.mean())


def test_a_tight_box_ends_on_the_last_cells():
    assert tight_box(rectangle((8, 12), 2, 1, 7, 3)) == (2, 1, 6, 2)
    assert tight_box(np.zeros((8, 12), bool)) is None


def test_a_region_knows_its_place_on_the_grid():
    region = locate(rectangle((48, 64), 12, 8, 33, 24), (6, 8))
    assert region.cells == (2, 1, 4, 2)  # columns whose left pixel is inside
    assert region.box == (1.5, 1.0, 33 / 8, 3.0)
    assert region.shares[1].tolist() == [0, 0.5, 1, 1, 1 / 8, 0, 0, 0]
    assert locate(np.zeros((48, 64), bool), (6, 8)) is None
    small = locate(rectangle((48, 64), 9, 9, 11, 11), (6, 8))
    assert small.cells is None  # no cell's upper left pixel
    assert small.shares.sum() == pytest.approx(4 / 64)


def test_a_masked_mean_weighs_cells_by_their_share():
    features = np.arange(8.0).reshape(2, 2, 2)
    mask = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]], bool)  # a cell, and half of one
    found = object_features(features, np.zeros(2), regions_of([locate(mask, (2, 2))], (2, 2)))
    assert found["masked_mean"].tolist() == [[2 / 3, 4 + 2 / 3]]


def test_object_features_are_the_planted_ones():
    features = np.zeros((2, 6, 8))
    features[:, 1:4, 2:6] = np.array([3.0, -1.0])[:, None, None]
    mean = np.array([1.0, 1.0])
    region = locate(rectangle((48, 64), 20, 12, 44, 28), (6, 8))
    found = object_features(features, mean, regions_of([None, region, None, region], (6, 8)))
    assert tuple(found) == OBJECT_FEATURES
    for name, values in found.items():
        expected = [2, -2] if name.endswith("centred") else [3, -1]
        for there in (1, 3):
            assert values[there] == pytest.approx(expected)
        assert np.isnan(values[[0, 2]]).all()


def test_regions_together_are_read_as_each_alone():
    """Some are no region, some have no box: their features are nan, and the others' the same to the bit."""
    small = locate(rectangle((48, 64), 9, 9, 11, 11), (6, 8))
    some = [locate(random(48, 64) > 1, (6, 8)), None, small, locate(rectangle((48, 64), 20, 12, 44, 28), (6, 8))]
    features, together = random(5, 6, 8), regions_of(some, (6, 8))
    for number, region in enumerate(some):
        alone = regions_of([region], (6, 8))
        np.testing.assert_array_equal(together.means(features)[:, [number]], alone.means(features))
        np.testing.assert_array_equal(together.maxima(features)[[number]], alone.maxima(features))
    assert np.isnan(together.maxima(features)).all(axis=1).tolist() == [False, True, True, False]
    assert np.isnan(together.means(features)).all(axis=(0, 2)).tolist() == [False, True, False, False]


def test_cosines():
    assert cosines(np.array([1.0, 0]), np.array([-2.0, 0])) == -1
    assert cosines(np.array([3.0, 4]), np.array([[5.0, 0], [0, 0], [np.nan, 1]])) == pytest.approx(
        [0.6, 0, np.nan], nan_ok=True
    )


def test_errors_say_what_to_do():
    features, mask = random(2, 3, 6, 8), np.ones((2, 48, 64), bool)
    with pytest.raises(DataError, match=r"the box \(0, 0, 8, 5\) leaves the grid of 8x6 cells; give its first"):
        pool_bins([(0, 0, 3, 3), (0, 0, 8, 5)], (6, 8))
    with pytest.raises(DataError, match="a mask of 64x4 pixels is smaller than the grid of 8x6 cells; give masks"):
        locate(mask[0, :4], (6, 8))
    with pytest.raises(DataError, match="there is no object; give masks of at least one"):
        check_masks({})
    with pytest.raises(DataError, match="object '7' has 1 masks of 64x48 pixels and not 2 of 64x48; give each"):
        check_masks({"6": mask, "7": mask[:1]})
    with pytest.raises(DataError, match="object '7' has 2 masks of 32x48 pixels and not 2 of 64x48; give each"):
        check_masks({"6": mask, "7": mask[:, :, :32]})
    with pytest.raises(DataError, match="2 frames of 8x6 features are not the 3 of 8x6 in which objects were located"):
        check_features(features, 3, (6, 8))
    with pytest.raises(DataError, match="features hold NaN or infinite values; compute them in"):
        check_finite(np.full_like(features, np.inf))
