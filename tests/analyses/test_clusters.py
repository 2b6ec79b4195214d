from itertools import pairwise, permutations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from vdprobe.analyses import clusters
from vdprobe.analyses.clusters import cluster_jointly, cluster_official, label_stability, object_stability
from vdprobe.errors import DataError

DIRECTIONS = np.linalg.qr(np.random.default_rng(5).normal(size=(12, 12)))[0]


def scene(frames=5, height=6, width=12):
    """An object of two columns that moves one to the right each frame, on a ground with a lower half of its own."""
    kinds = np.zeros((frames, height, width), np.int64)
    kinds[:, height // 2 :] = 1
    for k in range(frames):
        kinds[k, 1:5, 1 + k : 3 + k] = 2
    return kinds


def features_of(kinds):
    planted = 3 * DIRECTIONS[kinds]
    noise = np.random.default_rng(0).normal(0, 0.05, planted.shape)
    return (planted + noise).transpose(0, 3, 1, 2).astype(np.float32)


@pytest.mark.parametrize("cluster", [cluster_jointly, cluster_official])
def test_planted_parts_are_found(cluster):
    kinds = scene()
    labels = cluster(features_of(kinds))
    assert labels.shape == kinds.shape
    # the basis of a frame may flip: only the joint one must keep its names
    if cluster is cluster_jointly:
        assert adjusted_rand_score(labels.ravel(), kinds.ravel()) == 1
    else:
        assert all(adjusted_rand_score(a.ravel(), b.ravel()) > 0.95 for a, b in zip(labels, kinds, strict=True))


def test_a_basis_for_each_frame_renames_what_does_not_change():
    """The object is the second component where it is small and the first where it is large."""
    kinds = scene()
    kinds[1::2] = 0
    kinds[1::2, 5] = 1
    kinds[1::2, :5, 3:8] = 2
    features = features_of(kinds)
    cells = np.where(kinds == 2, 1, 0)
    assert object_stability(cluster_jointly(features), cells).value == 1
    assert object_stability(cluster_official(features), cells).value < 1


def test_colours_span_their_range_and_are_cut_to_whole_numbers():
    values = np.array([[[-1.0, 0.0, 1.0], [0.5, 0.996, -1.0]]])
    assert clusters._colours(values).tolist() == [[[0, 127, 255], [191, 254, 0]]]
    assert not clusters._colours(np.full((2, 2, 3), 7.0)).any()


def test_still_labels_stay_and_so_do_their_shuffled_frames():
    labels = np.repeat(scene(1), 4, axis=0)
    found = label_stability(labels)
    assert (found.value, found.floor) == (1, 1)


def test_names_do_not_matter_to_the_rand_index():
    labels = np.repeat(scene(1), 4, axis=0)
    labels[1::2] = 2 - labels[1::2]
    assert label_stability(labels).value == 1
    assert object_stability(labels, np.repeat(scene(1), 4, axis=0) - 1).value == 0


@pytest.mark.parametrize("places", [(1, 1), (1, 3), (5, 7)])
def test_the_rand_index_is_scikit_learn_s(places):
    labels = np.random.default_rng(places).integers(0, 3, (6, *places))
    labels[1], labels[2] = 0, np.arange(labels[2].size).reshape(places)  # one part; each place a part of its own
    labels[3] = labels[2]
    flat = labels.reshape(6, -1)
    expected = [adjusted_rand_score(a, b) for a, b in pairwise(flat)]
    assert label_stability(labels).value == pytest.approx(np.mean(expected), abs=1e-12)


def test_random_labels_are_at_zero():
    found = label_stability(np.random.default_rng(0).integers(0, 3, (6, 40, 40)))
    assert found.value == pytest.approx(0, abs=0.01)
    assert found.floor == pytest.approx(0, abs=0.01)


def test_what_moves_slowly_stays_more_than_its_shuffled_frames():
    found = label_stability(scene())
    assert found.floor < found.value < 1


def test_floors_are_means_over_all_orders():
    rng = np.random.default_rng(0)
    labels, cells = rng.integers(0, 3, (4, 5, 6)), rng.integers(-1, 2, (4, 5, 6))
    cells[:, 0, :2] = 2
    orders = [list(order) for order in permutations(range(4))]
    assert label_stability(labels).floor == pytest.approx(np.mean([label_stability(labels[o]).value for o in orders]))
    expected = np.mean([object_stability(labels[o], cells).value for o in orders])
    assert object_stability(labels, cells).floor == pytest.approx(expected)


def test_an_object_keeps_its_label_where_it_moves():
    kinds = scene()
    found = object_stability(kinds, np.where(kinds == 2, 7, 0))
    assert found.value == 1
    assert found.floor < 0.9  # in another frame's place it is the ground


def test_agreement_counts_pairs_of_frames_with_the_object_and_weighs_objects_alike():
    labels = np.zeros((5, 2, 4), np.int64)
    cells = np.zeros((5, 2, 4), np.int64)
    cells[:, 0, :3] = 1
    labels[2:, 0, :2] = 2  # the first object changes once in four pairs; two of its three cells decide
    cells[:3, 1, 0] = 2  # the second is in two pairs, and keeps its label
    cells[4, 1, 0] = 2
    labels[4, 1, 0] = 1
    assert object_stability(labels, cells).value == pytest.approx((0.75 + 1) / 2)


def test_errors_say_what_to_do():
    for call in (lambda: label_stability(scene(1)), lambda: object_stability(scene(1), scene(1))):
        with pytest.raises(DataError, match="1 frames have no next one; give at least 2"):
            call()
    apart = np.zeros((4, 6, 12), np.int64)
    apart[::2, 0, 0] = 1
    with pytest.raises(DataError, match="no object fills a cell in two consecutive frames; give a layer with finer"):
        object_stability(scene(4), apart)
    for cluster in (cluster_jointly, cluster_official):
        with pytest.raises(DataError, match=r"2 channels in \d+ places have no 3 components; give as many"):
            cluster(features_of(scene())[:, :2])
        with pytest.raises(DataError, match="features hold NaN or infinite values"):
            cluster(np.full((2, 4, 3, 3), np.nan, np.float32))
    with pytest.raises(DataError, match="4 channels in 2 places"):
        cluster_official(np.ones((3, 4, 1, 2), np.float32))
