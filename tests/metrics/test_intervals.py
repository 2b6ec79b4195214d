import numpy as np
import pytest

from vdprobe.errors import DataError
from vdprobe.metrics import intervals
from vdprobe.metrics.intervals import Interval, bootstrap_interval, paired_interval


def test_normal_values_have_the_interval_of_their_standard_error():
    values = np.random.default_rng(0).normal(0.6, 0.2, 400)
    found = bootstrap_interval(values)
    half = 1.96 * values.std() / 20
    assert (found.mean, found.count) == (values.mean(), 400)
    assert found.low == pytest.approx(values.mean() - half, abs=0.05 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.05 * half)


def test_covers_the_truth_in_about_95_of_100_draws(monkeypatch):
    monkeypatch.setattr(intervals, "DRAWS", 1000)
    rng = np.random.default_rng(0)
    found = [bootstrap_interval(rng.normal(1, 1, 100), seed=k) for k in range(500)]
    assert 0.92 <= np.mean([i.low <= 1 <= i.high for i in found]) <= 0.975


def test_a_seed_gives_its_interval_and_another_seed_nearly_the_same():
    values = np.random.default_rng(0).uniform(size=50)
    first, other = bootstrap_interval(values), bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values) == first != other
    assert abs(first.low - other.low) < 0.05 * (first.high - first.low)


def test_ends_are_percentiles_of_the_means_of_drawn_videos():
    values = np.random.default_rng(0).normal(size=50)
    drawn = np.random.default_rng(3).integers(50, size=(intervals.DRAWS, 50))
    expected = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])
    found = bootstrap_interval(values, seed=3)
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-12)


def test_equal_values_have_no_width():
    assert bootstrap_interval(np.full(7, 0.25)) == Interval(0.25, 0.25, 0.25, 7)


def test_pairs_take_out_what_videos_differ_by():
    rng = np.random.default_rng(0)
    hard = rng.uniform(0, 1, 50)
    first, second = hard + 0.02 + rng.normal(0, 0.01, 50), hard
    found = paired_interval(first, second)
    assert found == bootstrap_interval(first - second)
    assert 0 < found.low < 0.02 < found.high < 0.03
    assert bootstrap_interval(first).low < bootstrap_interval(second).mean


def test_errors_say_what_to_do():
    with pytest.raises(DataError, match="an interval over 1 videos says nothing; give at least 2"):
        bootstrap_interval(np.ones(1))
    with pytest.raises(DataError, match="1 of 3 videos have no finite value"):
        bootstrap_interval(np.array([0.1, np.nan, 0.3]))
    with pytest.raises(DataError, match="3 and 2 values make no pairs"):
        paired_interval(np.ones(3), np.ones(2))
