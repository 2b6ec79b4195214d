"""Tables of results as tables of a report."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from vdprobe.errors import DataError, VdprobeError
from vdprobe.studies.analysis.table_files import read_table
from vdprobe.studies.report.document import Cell, Table

MOST_ROWS = 1000
"""Of a table in a page, unless it says which rows answer the question; a note says where the rest is."""
INTERVAL = ("mean", "low", "high")
MEASURES = ("count", "absent", "seeds", "seed_sd", "effect", "paper")
"""Columns that follow the value."""
NAMES = {
    "count": "videos",
    "seed_sd": "sd over seeds",
    "effect": "effect size",
    "first": "this",
    "second": "minus that",
}


def csv_table(
    path: Path,
    title: str,
    *,
    file: str,
    open_: bool = True,
    answer: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
) -> Table | None:
    """A table of a CSV that an analysis wrote; None for one that is not there or has no rows.

    - `answer`: of a table with more than `MOST_ROWS` those rows that are shown.

    Raises `DataError` for a damaged one.
    """
    if not path.is_file():
        return None
    with told(path):
        table = read_table(path)
        notes: tuple[str, ...] = ()
        if len(table) > MOST_ROWS and answer is not None:
            few = answer(table)
            notes = (f"{len(few)} rows that answer the question in short; all {len(table)} are in {file}.",)
            table = few
        found = frame_table(table, title, file=file, open_=open_)
    return None if found is None else replace(found, notes=(*notes, *found.notes))


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Makes a `DataError` of what a damaged table at `path` raises."""
    try:
        yield
    except (ValueError, TypeError, KeyError, OSError) as error:
        if isinstance(error, VdprobeError):
            raise
        raise DataError(f"{path} is damaged ({error}); run the command that made it again") from error


def frame_table(table: pd.DataFrame, title: str, *, file: str = "", open_: bool = True) -> Table | None:
    """A table; None for one without rows.

    `mean`, `low` and `high` (or `value` with those) become one column with its interval, and columns that hold one
    value stand above the table.
    """
    if not len(table):
        return None
    notes = []
    if len(table) > MOST_ROWS:
        notes.append(f"The first {MOST_ROWS} of {len(table)} rows; all of them are in {file}.")
    point = next((name for name in ("mean", "value") if name in table), None)
    merged = point is not None and {"low", "high"} <= set(table)
    rest = [str(name) for name in table.columns if not (merged and name in (point, "low", "high"))]
    same = {
        name: _text(table[name].iloc[0])
        for name in rest
        if len(table) > 1 and table[name].map(str).nunique() == 1 and name != "paper"
    }
    shown = [name for name in rest if name not in same]
    records = table.head(MOST_ROWS).to_dict("records")
    columns = [NAMES.get(name, name) for name in shown]
    cells = [[Cell(_text(record[name])) for name in shown] for record in records]
    if merged:
        assert point is not None
        place = next((k for k, name in enumerate(shown) if _is_measure(name)), len(shown))
        columns.insert(place, f"{point} [95 % interval]")
        for row, cell in zip(cells, _intervals(records, point), strict=True):
            row.insert(place, cell)
    named = {NAMES.get(name, name): value for name, value in same.items() if value != "-"}
    return Table(title, tuple(columns), tuple(map(tuple, cells)), named, file, open_, tuple(notes))


def mapping_table(title: str, header: Sequence[str], rows: Mapping[str, Any]) -> Table | None:
    """Names and their values."""
    cells = tuple((Cell(name), Cell(_text(value))) for name, value in rows.items())
    return Table(title, tuple(header), cells) if cells else None


def _is_measure(name: str) -> bool:
    return name in MEASURES


def _intervals(records: Sequence[Mapping[Any, Any]], point: str) -> list[Cell]:
    """The value with its interval, as text and as a line in the range of all."""
    ends = [float(record[name]) for record in records for name in (point, "low", "high")]
    finite = [end for end in ends if math.isfinite(end)]
    low, reach = (min(finite), max(max(finite) - min(finite), 1e-12)) if finite else (0.0, 1.0)
    out = []
    for record in records:
        value, *interval = (float(record[name]) for name in (point, "low", "high"))
        if math.isnan(value):
            out.append(Cell(""))
        elif not all(map(math.isfinite, (value, *interval))):
            out.append(Cell(_number(value)))
        else:
            share = tuple(round((end - low) / reach, 4) for end in (interval[0], value, interval[1]))
            text = f"{_number(value)} [{_number(interval[0])}, {_number(interval[1])}]"
            out.append(Cell(text, (share[0], share[1], share[2])))
    return out


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    if math.isfinite(value) and value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.3f}" if 0.001 <= abs(value) < 1000 else f"{value:.4g}"
