"""From values of videos to means with intervals, and to differences with theirs.

A video is one value: its samples are averaged first, and its seeds. Tables hold a row for each cell and key.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from vdprobe.metrics.intervals import bootstrap_intervals
from vdprobe.studies.analysis.cells import CELL, NONE
from vdprobe.studies.analysis.video_means import VideoMeans

AT_ONCE, VALUES_AT_ONCE = 400, 2**21
"""Rows of a table whose draws are in memory (32 MB), and values of its videos (32 MB)."""


def video_values(rows: Iterable[Mapping[str, Any]], keys: Sequence[str]) -> pd.DataFrame:
    """One row for each cell, video and key: the mean `value` of its samples, how many there are, how many have none.

    - `rows`: of samples, with the columns `CELL`, `video`, the keys and `value`.

    `value` is nan where no sample has one. The table is empty where there is no row.
    """
    names = (*CELL, "video", *keys)
    place = itemgetter(*names)
    # sums in a dictionary: a table of a row for each sample takes ten times as long and as much memory
    sums: dict[tuple[Any, ...], list[float]] = {}
    for row in rows:
        total = sums.setdefault(place(row), [0.0, 0, 0])
        value = row["value"]
        total[2] += 1
        if value == value:  # not nan
            total[0] += value
            total[1] += 1
    if not sums:
        return pd.DataFrame()
    table = pd.DataFrame(list(sums), columns=list(names))
    totals, known, counts = np.array(list(sums.values())).T
    table["value"] = totals / np.where(known == 0, np.nan, known)
    table["samples"], table["absent"] = known.astype(np.int64), (counts - known).astype(np.int64)
    return table


def summarise(means: VideoMeans) -> pd.DataFrame:
    """Mean and 95 % interval over videos for each row, seeds averaged first.

    - `count`: videos that have a value; with fewer than two the interval is nan. `absent`: videos with rows that
      have none.
    - `seeds`, `seed_sd`: how many, and the standard deviation of the mean over videos from seed to seed (nan
      for one seed): what a change must exceed to be more than another draw.
    """
    out = means.rows.copy()
    rows = np.arange(len(out))
    found = _intervals(len(out), means.videos, means.read).drop(columns="deviation")
    out = pd.concat([out, found], axis=1)
    asked = [means.asked(rows[some]) for some in _blocks(len(out), means.videos)]
    out["absent"] = np.concatenate(asked) - out["count"]
    by_seed = pd.DataFrame(means.by_seed)
    with np.errstate(invalid="ignore"):  # of what is infinite
        out["seeds"], out["seed_sd"] = by_seed.count(axis=1), by_seed.std(axis=1, ddof=1)
    return out


def differences(means: VideoMeans, factor: str, compared: pd.DataFrame | None = None) -> pd.DataFrame:
    """First minus second for each two levels of `factor` (a column), all else equal, paired over videos.

    A backbone that has no conditions, noises or timesteps is compared with each of another's.

    - `compared`: those of the rows that are looked at; all if not given.
    - `effect`: the mean difference over the standard deviation of differences (Cohen's d of pairs).
    - `count`: videos that have both. Pairs with fewer than two are left out.
    """
    rows = means.rows if compared is None else compared
    same = [name for name in rows if name not in (factor, *(("control",) if factor == "backbone" else ()))]
    levels = {level: of_level[same] for level, of_level in rows.groupby(factor, sort=False)}
    found = []
    for (first, one), (second, two) in combinations(levels.items(), 2):
        both = _pairs(one, two, means_nothing=CELL if factor == "backbone" else ())
        if both.empty:
            continue
        table = _changes(means, both.pop("one"), both.pop("two"))
        table = pd.concat([both, table], axis=1)
        table.insert(0, "factor", factor)
        table.insert(1, "first", first)
        table.insert(2, "second", second)
        found.append(table[table["count"] > 1])
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _pairs(one: pd.DataFrame, two: pd.DataFrame, *, means_nothing: Sequence[str]) -> pd.DataFrame:
    """The rows that agree in all columns, and under `one` and `two` their numbers.

    - `means_nothing`: columns that may have no meaning for one side, as the condition for raw pixels: its row is then
      the pair of each of the other's.
    """
    without = {
        name for name in means_nothing if name in one and ((one[name] == NONE).all() != (two[name] == NONE).all())
    }
    on = [name for name in one if name not in without]
    both = one.assign(one=one.index).merge(two.assign(two=two.index), on=on, suffixes=("", "_two"))
    for name in without:
        both[name] = both[name].where(both[name] != NONE, both[f"{name}_two"])
    return both[[*one, "one", "two"]]


def _changes(means: VideoMeans, first: pd.Series, second: pd.Series) -> pd.DataFrame:
    """Interval and effect of the difference of each two rows."""
    one, two = first.to_numpy(), second.to_numpy()
    table = _intervals(len(one), means.videos, lambda some: means.read(one[some]) - means.read(two[some]))
    with np.errstate(all="ignore"):
        table["effect"] = table["mean"] / table.pop("deviation")
    return table


def _intervals(
    count: int, videos: int, read: Callable[[Int64[np.ndarray, " n"]], Float64[np.ndarray, "n videos"]]
) -> pd.DataFrame:
    """Columns mean, low, high, deviation and count of `count` rows, of which `read` gives the values by number.

    Values are nan or infinite where a video has none. The deviation is that of a sample.
    """
    out = pd.DataFrame(np.nan, index=range(count), columns=["mean", "low", "high", "deviation"])
    out["count"] = 0
    # rows that miss the same videos share their draws
    alike: dict[bytes, list[int]] = {}
    for some in _blocks(count, videos):
        for row, known in zip(some, np.isfinite(read(some)), strict=True):
            alike.setdefault(np.packbits(known).tobytes(), []).append(int(row))
    for bits, rows in alike.items():
        known = np.unpackbits(np.frombuffer(bits, np.uint8), count=videos).astype(bool)
        out.loc[rows, "count"] = known.sum()
        if known.any():
            parts = [_interval(read(np.array(rows)[some])[:, known]) for some in _blocks(len(rows), videos)]
            out.loc[rows, ["mean", "low", "high", "deviation"]] = np.concatenate(parts)
    return out


def _interval(values: Float64[np.ndarray, "n videos"]) -> Float64[np.ndarray, "n 4"]:
    """Mean, low and high end and deviation of each row; of one video the mean alone."""
    if values.shape[1] == 1:
        return np.hstack([values, np.full((len(values), 3), np.nan)])
    return np.vstack([bootstrap_intervals(np.ascontiguousarray(values.T)), values.std(axis=1, ddof=1)]).T


def _blocks(count: int, videos: int) -> Iterator[Int64[np.ndarray, " n"]]:
    """The numbers of `count` rows, as many at a time as may be in memory."""
    step = max(1, min(AT_ONCE, VALUES_AT_ONCE // max(1, videos)))
    for start in range(0, count, step):
        yield np.arange(start, min(start + step, count))
