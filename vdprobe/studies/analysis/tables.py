"""The three tables of an analysis: made of values, written, and read again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vdprobe.data.video import Failure
from vdprobe.errors import DataError
from vdprobe.studies.analysis.statistics import differences, summarise
from vdprobe.studies.analysis.table_files import read_table, write_table

NAMES = ("values", "summary", "differences")


@dataclass(frozen=True)
class Tables:
    """What was found: `summary` and `differences` as `statistics` makes them, `values` of each video."""

    values: pd.DataFrame
    summary: pd.DataFrame
    differences: pd.DataFrame


def make_tables(
    parts: Sequence[pd.DataFrame],
    keys: Sequence[str],
    factors: Sequence[str],
    failures: Sequence[Failure],
    *,
    needs: str = "masks of its objects",
    compared: Callable[[pd.DataFrame], pd.DataFrame] = pd.DataFrame.copy,
) -> Tables:
    """The tables of values that `video_values` made part by part.

    - `factors`: columns whose levels are compared, as far as there are several, in the rows that `compared` gives.
    - `needs`: what a video must have to get a value, in words.

    Raises `DataError`, with the first of the `failures`, where no part has a value.
    """
    values = pd.concat([table for table in parts if len(table)] or [pd.DataFrame()], ignore_index=True)
    if values.empty or not np.isfinite(values["value"]).any():
        why = f"; first: {failures[0].where}: {failures[0].error}" if failures else ""
        raise DataError(f"no sample could be measured: a video needs {needs}{why}")
    asked = compared(values)
    found = [differences(asked, factor, keys) for factor in factors if asked[factor].nunique() > 1]
    found = [table for table in found if len(table)]
    return Tables(
        values,
        summarise(values, keys),
        pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["factor"]),
    )


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
