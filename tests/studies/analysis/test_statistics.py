"""Values of videos, their means with intervals, and differences: known answers."""

from itertools import chain

import numpy as np
import pytest
from planted import summary_of

from vdprobe.metrics.intervals import bootstrap_interval
from vdprobe.studies.analysis.cells import CELL
from vdprobe.studies.analysis.statistics import differences, video_values
from vdprobe.studies.analysis.video_means import table_means

KEYS = ("gap",)
NAMES = {"control": False, "condition": "vd-t", "noise": "none", "timestep": "0", "tap": "unet.in", "seed": 0}


def rows_of(values, **names):
    """A row for each value, one a video: `values[video]` may be several samples."""
    rows = []
    for video, samples in values.items():
        rows += [{"backbone": "tiny", **NAMES, "gap": 1, **names, "video": video, "value": v} for v in samples]
    return rows


def differences_of(rows, factor):
    return differences(table_means(video_values(rows, KEYS), KEYS), factor)


def test_a_video_is_the_mean_of_its_samples_and_says_how_many_have_none():
    found = video_values(rows_of({"a": [1.0, np.nan, 3.0], "b": [np.nan]}), KEYS)
    assert found["video"].tolist() == ["a", "b"]
    assert found["value"].tolist() == pytest.approx([2.0, np.nan], nan_ok=True)
    assert found[["samples", "absent"]].to_numpy().tolist() == [[2, 1], [0, 1]]
    assert list(found)[: len(CELL)] == list(CELL)


def test_a_mean_over_videos_has_the_bootstrap_s_interval():
    values = {f"v{k}": [v] for k, v in enumerate([0.1, 0.5, 0.4, 0.9])}
    (row,) = summary_of(rows_of(values), KEYS).to_dict("records")
    expected = bootstrap_interval(np.array([0.1, 0.5, 0.4, 0.9]))
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((expected.mean, expected.low, expected.high))
    assert (row["count"], row["absent"], row["seeds"]) == (4, 0, 1)
    assert np.isnan(row["seed_sd"])


def test_seeds_are_averaged_first_and_their_spread_is_told():
    tables = [rows_of({"a": [0.0 + k], "b": [4.0 + k]}, seed=k) for k in (0, 2)]
    (row,) = summary_of(chain(*tables), KEYS).to_dict("records")
    assert (row["mean"], row["count"], row["seeds"]) == (3, 2, 2)
    assert row["seed_sd"] == pytest.approx(np.std([2, 4], ddof=1))
    assert (row["low"], row["high"]) == (1, 5)  # the ends are those of videos, not of seeds


def test_one_video_has_no_interval_and_none_has_no_mean():
    found = summary_of(rows_of({"a": [2.0], "b": [np.nan]}), KEYS)
    assert found[["mean", "low", "high"]].to_numpy().tolist()[0] == pytest.approx([2, np.nan, np.nan], nan_ok=True)
    assert found[["count", "absent"]].to_numpy().tolist() == [[1, 1]]
    found = summary_of(rows_of({"a": [np.nan]}), KEYS)
    assert found[["count", "absent"]].to_numpy().tolist() == [[0, 1]]


def test_only_cells_that_were_measured_have_rows():
    tables = [
        rows_of({"a": [1.0], "b": [2.0]}, tap="unet.in", condition="vd-t"),
        rows_of({"a": [1.0], "b": [2.0]}, tap="vae.down.2", condition="-", gap=2),
    ]
    found = summary_of(chain(*tables), KEYS)
    assert found[["tap", "condition", "gap"]].to_numpy().tolist() == [["unet.in", "vd-t", 1], ["vae.down.2", "-", 2]]


def test_differences_are_paired_over_the_videos_that_both_have():
    first = rows_of({"a": [1.0], "b": [5.0], "c": [9.0], "d": [100.0]})
    second = rows_of({"a": [0.5], "b": [4.0], "c": [7.5]}, condition="vd-i")
    (row,) = differences_of(first + second, "condition").to_dict("records")
    assert (row["first"], row["second"], row["count"]) == ("vd-t", "vd-i", 3)
    assert row["mean"] == pytest.approx(1)
    assert row["effect"] == pytest.approx(1 / np.std([0.5, 1, 1.5], ddof=1))
    assert row["low"] < 1 < row["high"]


def test_all_else_is_equal_where_two_levels_are_compared():
    tables = [
        rows_of({"a": [1.0], "b": [2.0]}, backbone="tiny", gap=1),
        rows_of({"a": [0.0], "b": [0.0]}, backbone="random", control=True, gap=1),
        rows_of({"a": [7.0], "b": [7.0]}, backbone="random", control=True, gap=2),
    ]
    found = differences_of(chain(*tables), "backbone")
    assert found[["gap", "mean"]].to_numpy().tolist() == [[1, 1.5]]


def test_a_backbone_without_conditions_is_compared_with_each_of_another_s():
    pixels = rows_of({"a": [1.0], "b": [2.0]}, backbone="pixels", control=True, condition="-", noise="-", timestep="-")
    tiny = [rows_of({"a": [value], "b": [value]}, condition=c) for c, value in (("vd-t", 3.0), ("vd-i", 5.0))]
    for tables, sign in (([*tiny, pixels], 1), ([pixels, *tiny], -1)):
        found = differences_of(chain(*tables), "backbone")
        assert found[["condition", "noise", "timestep"]].to_numpy().tolist() == [
            [c, "none", "0"] for c in ("vd-t", "vd-i")
        ]
        assert found["mean"].tolist() == [1.5 * sign, 3.5 * sign]


def test_pairs_that_share_fewer_than_two_videos_are_left_out():
    first, second = rows_of({"a": [1.0], "b": [2.0]}), rows_of({"b": [2.0], "c": [3.0]}, condition="vd-i")
    assert not len(differences_of(first + second, "condition"))


def test_only_rows_that_are_asked_for_are_compared():
    tables = [rows_of({"a": [1.0], "b": [2.0]}, condition=c, gap=gap) for c in ("vd-t", "vd-i") for gap in (1, 2)]
    means = table_means(video_values(chain(*tables), KEYS), KEYS)
    found = differences(means, "condition", means.rows[means.rows["gap"] == 2])
    assert found["gap"].tolist() == [2]


def test_rows_that_miss_other_videos_have_intervals_of_their_own():
    """In one table, as each alone: a row's interval does not depend on the others."""
    rng = np.random.default_rng(0)
    parts = []
    for gap in range(6):
        lost = gap if gap % 2 else None
        parts.append(rows_of({f"v{k}": [np.nan if k == lost else rng.normal()] for k in range(8)}, gap=gap))
    together = summary_of(chain(*parts), KEYS)
    for part, (_, row) in zip(parts, together.iterrows(), strict=True):
        (alone,) = summary_of(part, KEYS).to_dict("records")
        numbers = ["mean", "low", "high", "count", "absent"]
        assert row[numbers].tolist() == pytest.approx([alone[name] for name in numbers], abs=1e-15)


def test_an_infinite_value_is_none():
    (row,) = summary_of(rows_of({"a": [1.0], "b": [np.inf], "c": [3.0]}), KEYS).to_dict("records")
    assert (row["mean"], row["count"], row["absent"]) == (2, 2, 1)


def test_a_video_that_is_infinite_under_one_seed_has_no_value():
    tables = [rows_of({"a": [1.0], "b": [value], "c": [3.0]}, seed=seed) for seed, value in enumerate((2.0, np.inf))]
    (row,) = summary_of(chain(*tables), KEYS).to_dict("records")
    assert (row["mean"], row["count"], row["absent"]) == (2, 2, 1)
