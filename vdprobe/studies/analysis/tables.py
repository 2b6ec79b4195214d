"""The tables of an analysis: values of videos, written as they come, and what statistics make of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import BinaryIO

import numpy as np
import pandas as pd

from vdprobe.data.video import Failure
from vdprobe.errors import DataError
from vdprobe.studies.analysis.statistics import differences, summarise
from vdprobe.studies.analysis.table_files import csv_text, read_table, write_table
from vdprobe.studies.analysis.video_means import VideoMeans, file_means
from vdprobe.training.checkpoint import replace_file

VALUES, NAMES = "values.csv", ("summary", "differences")


@dataclass(frozen=True)
class Tables:
    """What was found, as `statistics` makes it. The values of each video lie beside them, in `values.csv`."""

    summary: pd.DataFrame
    differences: pd.DataFrame


def write_values(tables: Iterable[pd.DataFrame | Path], out: Path) -> None:
    """All tables that `video_values` made, or the CSVs that hold them, as `values.csv` in the folder `out`."""

    def write(path: Path) -> None:
        with path.open("wb") as file:
            for table in tables:
                _append(file, table)

    replace_file(out / VALUES, write)


def make_tables(
    out: Path,
    keys: Sequence[str],
    factors: Sequence[str],
    failures: Sequence[Failure],
    *,
    needs: str = "masks of its objects",
    compared: Callable[[pd.DataFrame], pd.DataFrame] = pd.DataFrame.copy,
    told: Callable[[pd.DataFrame], pd.DataFrame] = pd.DataFrame.copy,
) -> Tables:
    """The tables of the values that `write_values` left in the folder `out`, written there and read again.

    - `factors`: columns whose levels are compared, as far as there are several, in the rows that `compared` gives.
    - `needs`: what a video must have to get a value, in words. `told`: adds what the summary says beside its numbers.

    Memory does not grow with the videos: values lie in a file beside the tables meanwhile. Raises `DataError`, with
    the first of the `failures`, where there is no value.
    """
    with TemporaryDirectory(dir=out, prefix="means-") as scratch:
        means = file_means(out / VALUES, keys, Path(scratch) / "sums")
        if not np.isfinite(means.by_seed).any():
            why = f"; first: {failures[0].where}: {failures[0].error}" if failures else ""
            raise DataError(f"no sample could be measured: a video needs {needs}{why}")
        write_tables(Tables(told(summarise(means)), _differences(means, compared(means.rows), factors)), out)
    return read_tables(out)  # as they are when figures are drawn again


def _differences(means: VideoMeans, compared: pd.DataFrame, factors: Sequence[str]) -> pd.DataFrame:
    found = [differences(means, factor, compared) for factor in factors if compared[factor].nunique() > 1]
    found = [table for table in found if len(table)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["factor"])


def write_tables(tables: Tables, out: Path) -> None:
    """Each as a CSV in the folder `out`."""
    for name in NAMES:
        write_table(out / f"{name}.csv", getattr(tables, name))


def read_tables(out: Path) -> Tables:
    """What `write_tables` left in a folder. Raises `DataError` where an analysis did not come to its end."""
    paths = [out / f"{name}.csv" for name in NAMES]
    for path in paths:
        if not path.is_file():
            raise DataError(f"there is no {path}; run the analysis again, it goes on where it was")
    return Tables(*map(read_table, paths))


def _append(file: BinaryIO, table: pd.DataFrame | Path) -> None:
    """Adds a table; its first line, the names of its columns, only where nothing stands before it."""
    with BytesIO(csv_text(table).encode()) if isinstance(table, pd.DataFrame) else table.open("rb") as source:
        names = source.readline()
        if not file.tell():
            file.write(names.lstrip())  # a table without columns is an empty line
        copyfileobj(source, file)
