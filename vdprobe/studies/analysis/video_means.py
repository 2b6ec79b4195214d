"""The values of all videos, a row for each cell and key and a column for each video: on disk, to be read row by row.

Statistics look at some rows at a time, of all videos. As a table of one value a row the values of a thousand videos
take gigabytes; here they take 16 bytes each, on disk.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from vdprobe.data.reserve import reserve
from vdprobe.studies.analysis.cells import GROUP
from vdprobe.studies.analysis.table_files import read_values

SUM = np.dtype([("sum", np.float64), ("known", np.int32), ("asked", np.int32)])
"""Of the seeds of a video: the sum of their values, how many have one, and how many there are."""
BLOCK = 64
"""Videos that lie side by side: those of the next values in a file are then near each other, and few pages are used."""


@dataclass(frozen=True, eq=False)
class VideoMeans:
    """A value for each row and video: the mean over its seeds.

    - `rows`: the columns `GROUP` and the keys, in the order in which rows came.
    - `by_seed`: the mean over videos under each seed, nan where there is none.
    - `sums`: opens (block of videos, row, video in it) of `SUM`, to be forgotten soon: what was read of a file stays
      in memory till then.
    """

    rows: pd.DataFrame
    videos: int
    by_seed: Float64[np.ndarray, "rows seeds"]
    sums: Callable[[], np.ndarray]

    def read(self, rows: Int64[np.ndarray, " n"]) -> Float64[np.ndarray, "n videos"]:
        """nan for a video that has no value."""
        found = self._of(rows)
        return found["sum"] / np.where(found["known"] == 0, np.nan, found["known"])

    def asked(self, rows: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """How many videos there are, with a value or without."""
        return np.count_nonzero(self._of(rows)["asked"], axis=1)

    def _of(self, rows: Int64[np.ndarray, " n"]) -> np.ndarray:
        return self.sums()[:, rows].swapaxes(0, 1).reshape(len(rows), -1)[:, : self.videos]


def table_means(values: pd.DataFrame, keys: Sequence[str]) -> VideoMeans:
    """Of a table of values in memory: columns `CELL`, `video`, the keys and `value`."""
    names = (*GROUP, *keys)
    index = _Index()
    placed = list(_place([values], names, index))
    sums = np.zeros(index.shape, SUM)
    by_seed = _BySeed.empty(index)
    for each in placed:
        _add(sums, by_seed, each)
    return VideoMeans(index.table(names), len(index.videos), by_seed.means(), lambda: sums)


def file_means(path: Path, keys: Sequence[str], scratch: Path) -> VideoMeans:
    """Of a CSV of values, which is read twice; its means go into the file `scratch`."""
    names = (*GROUP, *keys)
    index = _Index()
    chunks = partial(read_values, path, (*names, "seed", "video"))
    for _ in _place(chunks(), names, index):
        pass
    with scratch.open("wb") as file:
        reserve(file.fileno(), max(1, math.prod(index.shape)) * SUM.itemsize)
    by_seed = _BySeed.empty(index)
    for each in _place(chunks(), names, index):
        # opened anew for each chunk, so that what was written does not stay in memory
        _add(np.memmap(scratch, SUM, "r+", shape=index.shape), by_seed, each)
    sums = partial(np.memmap, scratch, SUM, "r", shape=index.shape)
    return VideoMeans(index.table(names), len(index.videos), by_seed.means(), sums)


@dataclass(frozen=True)
class _Index:
    """The numbers of rows, videos and seeds, in the order in which they came."""

    rows: dict[tuple[Any, ...], int] = field(default_factory=dict)
    videos: dict[Any, int] = field(default_factory=dict)
    seeds: dict[Any, int] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        return -(-len(self.videos) // BLOCK), len(self.rows), BLOCK

    def table(self, names: Sequence[str]) -> pd.DataFrame:
        return pd.DataFrame(list(self.rows), columns=list(names))


@dataclass(frozen=True)
class _Placed:
    """Some values, and the numbers of the row, the video and the seed of each."""

    rows: Int64[np.ndarray, " n"]
    videos: Int64[np.ndarray, " n"]
    seeds: Int64[np.ndarray, " n"]
    values: Float64[np.ndarray, " n"]


@dataclass(frozen=True)
class _BySeed:
    """Sums over videos, and of how many."""

    sums: Float64[np.ndarray, "rows seeds"]
    counts: Int64[np.ndarray, "rows seeds"]

    @classmethod
    def empty(cls, index: _Index) -> "_BySeed":
        shape = len(index.rows), len(index.seeds)
        return cls(np.zeros(shape), np.zeros(shape, dtype=np.int64))

    def means(self) -> Float64[np.ndarray, "rows seeds"]:
        return self.sums / np.where(self.counts == 0, np.nan, self.counts)


def _place(tables: Iterable[pd.DataFrame], names: Sequence[str], index: _Index) -> Iterator[_Placed]:
    """The values of each table; the index is added to."""
    for table in tables:
        yield _Placed(
            _numbers(table, names, index.rows),
            _numbers(table, ["video"], index.videos),
            _numbers(table, ["seed"], index.seeds),
            table["value"].to_numpy(dtype=np.float64),
        )


def _numbers(table: pd.DataFrame, names: Sequence[str], known: dict[tuple[Any, ...], int]) -> Int64[np.ndarray, " n"]:
    own = table.groupby(list(names), sort=False, dropna=False, observed=True).ngroup().to_numpy(dtype=np.int64)
    first = np.unique(own, return_index=True)[1]
    found = table.iloc[first][list(names)].itertuples(index=False, name=None)
    return np.array([known.setdefault(name, len(known)) for name in found], dtype=np.int64)[own]


def _add(sums: np.ndarray, by_seed: _BySeed, placed: _Placed) -> None:
    there = ~np.isnan(placed.values)
    values = np.where(there, placed.values, 0)
    place, seed = (placed.videos // BLOCK, placed.rows, placed.videos % BLOCK), (placed.rows, placed.seeds)
    np.add.at(sums["sum"], place, values)
    np.add.at(sums["known"], place, there)
    np.add.at(sums["asked"], place, 1)
    np.add.at(by_seed.sums, seed, values)
    np.add.at(by_seed.counts, seed, there)
