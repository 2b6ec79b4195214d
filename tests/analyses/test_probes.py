import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold, cross_val_score

from vdprobe.analyses.probes import VideoCells, _auc, cell_labels, linear_probe, relabel, sample_cells
from vdprobe.errors import DataError


def videos(count=20, cells=16, channels=8, classes=2, signal=0.0, seed=0):
    """Cells of normal noise, classes in turn; channel k holds `signal` where the class is k."""
    rng = np.random.default_rng(seed)
    found = []
    for k in range(count):
        labels = np.arange(cells) % classes
        features = rng.normal(size=(cells, channels)).astype(np.float32)
        features[np.arange(cells), labels] += signal
        found.append(VideoCells(f"v{k}", features, labels))
    return found


def values(scores, name, *, control):
    return np.array([getattr(row, name) for row in scores.rows if row.control == control])


def test_what_is_separable_is_found_and_its_control_is_not():
    scores = linear_probe(videos(signal=12.0))
    assert (scores.accuracy, scores.auc, scores.chance) == (1, 1, 0.5)
    assert (values(scores, "accuracy", control=False) == 1).all()
    assert (values(scores, "auc", control=False) == 1).all()
    assert scores.control_accuracy == pytest.approx(0.5, abs=0.1)
    assert scores.control_auc == pytest.approx(0.5, abs=0.1)
    assert [row.video for row in scores.rows if row.control] == sorted(f"v{k}" for k in range(20))
    assert {row.cells for row in scores.rows} == {16}


def test_noise_is_at_chance():
    scores = linear_probe(videos(count=40))
    assert scores.accuracy == pytest.approx(0.5, abs=0.06)
    assert scores.auc == pytest.approx(0.5, abs=0.06)
    assert values(scores, "accuracy", control=False).mean() == pytest.approx(scores.accuracy)


def test_several_classes():
    scores = linear_probe(videos(cells=30, classes=3, signal=12.0))
    assert (scores.accuracy, scores.auc, scores.chance) == (1, 1, 1 / 3)
    noise = linear_probe(videos(count=40, cells=30, classes=3))
    assert noise.accuracy == pytest.approx(1 / 3, abs=0.06)


def test_the_curve_s_area_is_that_of_scikit_learn():
    """With ties, classes that are not shown, and more than two."""
    rng = np.random.default_rng(3)
    for classes in (2, 4):
        scores = rng.integers(0, 6, (50, classes)) / 6
        target = rng.integers(0, classes, 50)
        target[target == 1] = 0
        target[0] = classes - 1
        expected = np.mean([roc_auc_score(target == k, scores[:, k]) for k in np.unique(target)])
        assert _auc(target, scores) == pytest.approx(expected)


def test_what_only_tells_the_videos_apart_is_not_rewarded():
    """Each video has a look of its own, and one class: to know the look is to know the class, in that video."""
    rng = np.random.default_rng(0)
    cells = [
        VideoCells(
            f"v{k}",
            (rng.normal(size=64) + rng.normal(0, 0.05, (10, 64))).astype(np.float32),
            np.full(10, k % 2, dtype=np.int64),
        )
        for k in range(40)
    ]
    features, classes = np.concatenate([c.features for c in cells]), np.concatenate([c.classes for c in cells])
    mixed = cross_val_score(
        LogisticRegression(max_iter=1000), features, classes, cv=KFold(5, shuffle=True, random_state=0)
    )
    assert mixed.mean() > 0.98  # the trap is there: folds that share videos fall into it
    scores = linear_probe(cells)
    assert scores.accuracy < 0.65
    assert scores.auc < 0.65
    assert np.isnan(values(scores, "auc", control=False)).all()  # one class a video has no curve


def test_clips_of_one_video_are_one_group():
    """Two clips each, in which the classes of a video agree: a fold that splits them would know the answer."""
    rng = np.random.default_rng(1)
    looks = rng.normal(size=(30, 64))
    cells = [
        VideoCells(f"v{k % 30}", np.repeat(looks[[k % 30]], 4, axis=0).astype(np.float32), np.full(4, k % 2))
        for k in range(60)
    ]
    scores = linear_probe(cells)
    assert len(scores.rows) == 2 * 30
    assert scores.accuracy < 0.7


def test_rare_classes_weigh_as_much_as_frequent_ones():
    rng = np.random.default_rng(0)
    cells = [
        VideoCells(f"v{k}", rng.normal(size=(40, 4)).astype(np.float32), (np.arange(40) < 4).astype(np.int64))
        for k in range(20)
    ]
    assert linear_probe(cells).accuracy == pytest.approx(0.5, abs=0.1)  # 0.9 of the cells have one class
    for part in cells:
        part.features[:, 0] += 1.5 * part.classes
    scores = linear_probe(cells)
    assert scores.accuracy > 0.7
    assert 0.3 < scores.control_accuracy < 0.65


def test_scale_and_place_of_a_channel_do_not_matter():
    plain = videos(signal=1.5)
    moved = [
        VideoCells(part.video, part.features * np.float32(1e-3) + np.array([100, 0] * 4, np.float32), part.classes)
        for part in plain
    ]
    assert linear_probe(moved).accuracy == pytest.approx(linear_probe(plain).accuracy, abs=0.02)


def test_a_cell_has_the_label_that_fills_more_than_half_of_it():
    labels = np.zeros((1, 8, 16), np.int64)
    labels[0, :4, :2] = 3  # half of the first cell
    labels[0, :4, 4:7] = 3  # three quarters of the second
    labels[0, 4:, 8:] = -1  # padding
    labels[0, 4:, 0:4] = np.array([1, 2, 2, 2])
    assert cell_labels(labels, (2, 4)).tolist() == [[[-1, 3, 0, 0], [2, 0, -1, -1]]]
    assert cell_labels(labels.clip(0).astype(np.uint8), (2, 4)).tolist() == [[[-1, 3, 0, 0], [2, 0, 0, 0]]]


def test_labels_become_classes():
    cells = np.array([[[0, 1, 2, -1]]])
    assert relabel(cells, {0: 0, 1: 1, 2: 1}).tolist() == [[[0, 1, 1, -1]]]
    assert relabel(cells, {1: 1, 2: 0}).tolist() == [[[-1, 1, 0, -1]]]
    assert relabel(cells, {1: 3}).tolist() == [[[-1, 3, -1, -1]]]


def sampled(seed=0, video="dog", count=5):
    """Features that spell frame, row, column and class."""
    classes = np.random.default_rng(0).choice([-1, 0, 0, 0, 1], (3, 6, 8))
    features = np.stack([*np.indices(classes.shape), classes], axis=1).astype(np.float16)
    return sample_cells(features, classes, video, count=count, seed=seed), classes


def test_cells_are_drawn_with_their_own_features():
    cells, classes = sampled()
    assert np.bincount(cells.classes).tolist() == [5, 5]
    assert (cells.features[:, 3] == cells.classes).all()
    frame, row, column = cells.features[:, :3].T.astype(int)
    assert (classes[frame, row, column] == cells.classes).all()
    assert len(np.unique(cells.features, axis=0)) == 10
    everything, _ = sampled(count=1000)
    assert len(everything.classes) == (classes >= 0).sum()


def test_draws_depend_on_seed_and_video():
    draws = {sampled(seed, video)[0].features.tobytes() for seed in range(3) for video in ("dog", "cat")}
    assert len(draws) == 6
    assert np.array_equal(sampled()[0].features, sampled()[0].features)


def test_a_clip_without_a_class_has_no_cell():
    cells = sample_cells(np.ones((2, 3, 4, 4), np.float32), np.full((2, 4, 4), -1), "dog", count=3)
    assert cells.features.shape == (0, 3)
    scores = linear_probe([*videos(signal=12.0), VideoCells("none", np.zeros((0, 8), np.float32), cells.classes)])
    assert "none" not in {row.video for row in scores.rows}


def test_errors_say_what_to_do():
    with pytest.raises(DataError, match="cells of 2 classes in 3 videos make no probe of 5 folds; give 2 classes"):
        linear_probe(videos(count=3))
    with pytest.raises(DataError, match="cells of 1 classes in 20 videos"):
        linear_probe(videos(classes=1))
    bad = videos()
    bad[0].features[0, 0] = np.nan
    with pytest.raises(DataError, match="features hold NaN or infinite values"):
        linear_probe(bad)
    lone = [VideoCells(p.video, p.features, p.classes * (p.video == "v3")) for p in videos()]
    with pytest.raises(
        DataError, match="all videos of a class fell into one fold, so the probe cannot learn it; give more"
    ):
        linear_probe(lone)
