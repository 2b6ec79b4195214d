"""Values of all videos on disk: what is read of them, and that memory does not grow with the videos."""

import errno
import os
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from vdprobe.data.reserve import reserve
from vdprobe.metrics import intervals
from vdprobe.studies.analysis import statistics, table_files
from vdprobe.studies.analysis.cells import CELL
from vdprobe.studies.analysis.statistics import differences, summarise
from vdprobe.studies.analysis.table_files import write_table
from vdprobe.studies.analysis.tables import VALUES, make_tables
from vdprobe.studies.analysis.video_means import file_means, table_means

KEYS = ("level",)
LEVELS = ("0.95", "-0.10", "all")
"""Some look like numbers: in a part of the rows all may."""


def values_of(videos, taps=2, seeds=2, lost=0.1):
    """A table of values of two conditions, some of which are nan."""
    names = {"backbone": ["tiny"], "control": [False], "condition": ["vd-t", "vd-i"], "noise": ["none"]}
    axes = {**names, "seed": range(seeds), "timestep": ["0"], "tap": [f"unet.up.{k}" for k in range(taps)]}
    axes |= {"video": [f"v{k:04d}" for k in range(videos)], "level": LEVELS}
    table = pd.MultiIndex.from_product(axes.values(), names=list(axes)).to_frame(index=False)
    table = table.sort_values("video", kind="stable", ignore_index=True)[[*CELL, "video", *KEYS]]
    rng = np.random.default_rng(0)
    table["value"] = np.where(rng.random(len(table)) < lost, np.nan, rng.normal(size=len(table)))
    return table.assign(samples=1, absent=0)


@pytest.fixture
def values(tmp_path):
    write_table(tmp_path / VALUES, values_of(7))
    return tmp_path / VALUES


def test_a_file_has_the_means_of_its_table(values, tmp_path, monkeypatch):
    """Read a few rows at a time, which end within a video."""
    monkeypatch.setattr(table_files, "CHUNK", 17)
    table = table_means(values_of(7), KEYS)
    file = file_means(values, KEYS, tmp_path / "sums")
    assert file.videos == 7
    rows = np.arange(len(table.rows))
    np.testing.assert_array_equal(file.read(rows), table.read(rows))
    np.testing.assert_array_equal(file.asked(rows), table.asked(rows))
    np.testing.assert_allclose(file.by_seed, table.by_seed, rtol=1e-12)
    assert file.rows.astype(str).equals(table.rows.astype(str))
    assert all(isinstance(name, str) for names in file.rows.itertuples(index=False) for name in names)
    assert set(file.rows["level"]) == set(LEVELS)


def test_a_mean_is_over_the_seeds_that_have_a_value():
    table = values_of(3, taps=1, seeds=3, lost=0)
    table.loc[(table["video"] == "v0001") & (table["seed"] == 2), "value"] = np.nan
    table.loc[table["video"] == "v0002", "value"] = np.nan
    table = table[(table["condition"] == "vd-t") & (table["level"] == "all")]
    means = table_means(table, KEYS)
    by_video = table.groupby("video")["value"].mean()
    np.testing.assert_allclose(means.read(np.array([0])), by_video.to_numpy()[None])
    assert means.asked(np.array([0])).tolist() == [3]
    np.testing.assert_allclose(means.by_seed, table.groupby("seed")["value"].mean().to_numpy()[None])


def test_a_row_that_a_video_has_not_is_not_asked_for():
    table = values_of(3, lost=0)
    means = table_means(table.drop(table.index[(table["video"] == "v0001") & (table["level"] == "all")]), KEYS)
    of_all = np.flatnonzero(means.rows["level"] == "all")
    assert set(means.asked(of_all)) == {2}
    assert np.isnan(means.read(of_all)).any(axis=0).tolist() == [False, True, False]


def test_statistics_do_not_depend_on_how_much_is_read_at_once(values, tmp_path, monkeypatch):
    found = []
    for at_once, values_at_once in ((400, 2**22), (3, 2**22), (400, 10)):
        monkeypatch.setattr(statistics, "AT_ONCE", at_once)
        monkeypatch.setattr(statistics, "VALUES_AT_ONCE", values_at_once)
        means = file_means(values, KEYS, tmp_path / f"sums-{len(found)}")
        found.append((summarise(means), differences(means, "condition")))
    for some in found[1:]:
        for table, expected in zip(some, found[0], strict=True):
            pd.testing.assert_frame_equal(table, expected, rtol=1e-12)
    assert len(found[0][0]) == 2 * 2 * 3
    assert len(found[0][1]) == 2 * 3


def test_memory_does_not_grow_with_the_videos(tmp_path, monkeypatch):
    """A table of them would take 400 bytes a value. What is held at once is made small, so that it would be seen."""
    monkeypatch.setattr(table_files, "CHUNK", 1000)
    monkeypatch.setattr(statistics, "VALUES_AT_ONCE", 5000)
    monkeypatch.setattr(intervals, "BLOCK", 20)
    peaks = []
    for videos in (100, 700):
        table = values_of(videos, taps=6, seeds=1, lost=0)
        out = tmp_path / str(videos)
        out.mkdir()
        write_table(out / VALUES, table)
        count = len(table)
        del table
        tracemalloc.start()
        make_tables(out, KEYS, ("condition",), ())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert sorted(path.name for path in out.iterdir()) == ["differences.csv", "summary.csv", VALUES]
    assert count == 700 * 36
    assert peaks[1] < peaks[0] + 4 * count


def test_a_full_disk_is_an_error_before_anything_is_mapped(values, tmp_path, monkeypatch):
    """The process would die without a word where it writes to a mapped page for which there is no room."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="No space left"):
        file_means(values, KEYS, tmp_path / "sums")


def test_what_is_mapped_is_really_there(tmp_path, monkeypatch):
    for name in ("at once", "piece by piece"):
        if name == "piece by piece":
            monkeypatch.delattr("os.posix_fallocate", raising=False)
            monkeypatch.setattr("vdprobe.data.reserve.BLOCK", 1000)
        with (tmp_path / name).open("wb") as file:
            reserve(file.fileno(), 12_345)
        found = (tmp_path / name).stat()
        assert (found.st_size, found.st_blocks * 512 >= 12_345) == (12_345, True)
