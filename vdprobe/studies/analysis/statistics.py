"""From values of videos to means with intervals, and to differences with theirs.

A video is one value: its samples are averaged first, and its seeds. Tables hold a row for each cell and key.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from vdprobe.metrics.intervals import bootstrap_intervals
from vdprobe.studies.analysis.cells import CELL

AT_ONCE = 400
"""Rows of a table whose draws are in memory: 32 MB."""
GROUP = tuple(name for name in CELL if name != "seed")


def video_values(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """One row for each cell, video and key: the mean `value` of its samples, how many there are, how many have none.

    `value` is nan where no sample has one.
    """
    grouped = rows.groupby([*CELL, "video", *keys], sort=False, dropna=False)["value"]
    out = grouped.agg(value="mean", samples="count", size="size").reset_index()
    out["absent"] = out.pop("size") - out["samples"]
    return out


def summarise(values: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Mean and 95 % interval over videos for each cell and key, seeds averaged first.

    - `count`: videos that have a value; with fewer than two the interval is nan. `absent`: videos with rows that
      have none.
    - `seeds`, `seed_sd`: how many, and the standard deviation of the mean over videos from seed to seed (nan
      for one seed): what a change must exceed to be more than another draw.
    """
    names = [*GROUP, *keys]
    wide, seeds = _wide(values, names, "video"), _wide(values, names, "seed")
    out = wide.index.to_frame(index=False)
    out = pd.concat([out, _intervals(wide.to_numpy(dtype=np.float64))], axis=1)
    asked = _wide(values.assign(value=1.0), names, "video").notna().sum(axis=1).to_numpy()
    out["absent"] = asked - out["count"]
    out["seeds"], out["seed_sd"] = seeds.count(axis=1).to_numpy(), seeds.std(axis=1, ddof=1).to_numpy()
    return out


def differences(values: pd.DataFrame, factor: str, keys: Sequence[str]) -> pd.DataFrame:
    """First minus second for each two levels of `factor` (a column), all else equal, paired over videos.

    - `effect`: the mean difference over the standard deviation of differences (Cohen's d of pairs).
    - `count`: videos that have both. Pairs with fewer than two are left out.
    """
    rest = [name for name in (*GROUP, *keys) if name not in (factor, *(("control",) if factor == "backbone" else ()))]
    tables = {}
    for level in values[factor].unique():
        tables[level] = _wide(values[values[factor] == level], rest, "video")
    found = []
    for (first, one), (second, two) in combinations(tables.items(), 2):
        both = one.index.intersection(two.index, sort=False)
        videos = one.columns.intersection(two.columns, sort=False)
        change = (one.loc[both, videos] - two.loc[both, videos]).to_numpy(dtype=np.float64)
        if not change.size:
            continue
        table = pd.concat([both.to_frame(index=False), _intervals(change)], axis=1)
        with np.errstate(all="ignore"):
            table["effect"] = table["mean"] / _deviations(change)
        table.insert(0, "factor", factor)
        table.insert(1, "first", first)
        table.insert(2, "second", second)
        found.append(table[table["count"] > 1])
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _wide(values: pd.DataFrame, names: Sequence[str], columns: str) -> pd.DataFrame:
    """A row for each of `names` that there is, a column for each of `columns`; the mean over all else."""
    # not `pivot_table`: it leaves out rows without a value, or else makes one of each combination of names
    means = values.groupby([*names, columns], sort=False, dropna=False)["value"].mean()
    return means.unstack(columns, sort=False)


def _intervals(values: np.ndarray) -> pd.DataFrame:
    """Columns mean, low, high, count of rows of (row, video), nan where a video has no value."""
    out = pd.DataFrame(np.nan, index=range(len(values)), columns=["mean", "low", "high"])
    known = np.isfinite(values)
    out["count"] = known.sum(axis=1)
    # rows that miss the same videos share their draws
    patterns, which = np.unique(known, axis=0, return_inverse=True)
    for k, pattern in enumerate(patterns):
        rows = np.flatnonzero(which.ravel() == k)
        some = values[rows][:, pattern].T
        if len(some) > 1:
            parts = [bootstrap_intervals(some[:, start : start + AT_ONCE]) for start in range(0, len(rows), AT_ONCE)]
            out.loc[rows, ["mean", "low", "high"]] = np.concatenate(parts, axis=1).T
        elif len(some):
            out.loc[rows, "mean"] = some[0]
    return out


def _deviations(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    counts = known.sum(axis=1)
    means = np.where(known, values, 0).sum(axis=1) / np.maximum(counts, 1)
    squares = np.where(known, (values - means[:, None]) ** 2, 0).sum(axis=1)
    return np.sqrt(squares / np.maximum(counts - 1, 1))
