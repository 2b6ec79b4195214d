"""Tables as CSV: numbers come back as they were, and names as texts, whatever they look like."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from vdprobe.studies.analysis.cells import CELL
from vdprobe.training.checkpoint import replace_file

TEXTS = (*(name for name in CELL if name not in ("control", "seed")), "video", "factor", "first", "second")
OPEN = ("value", "mean", "low", "high", "seed_sd", "effect", "control")
"""Columns that are empty where there is no number; `control` where two backbones are compared."""
CHUNK = 50_000
"""Rows of values that are in memory: 5 MB."""


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Whoever looks sees a whole one."""
    replace_file(path, partial(table.to_csv, index=False))


def read_table(path: Path) -> pd.DataFrame:
    """What `write_table` wrote; a table without columns is empty."""
    if is_empty(path):
        return pd.DataFrame()
    texts: dict[str, type[str]] = dict.fromkeys(TEXTS, str)
    # whole: of a part of its rows a column's type would be a guess
    return pd.read_csv(
        path, dtype=texts, keep_default_na=False, na_values={name: [""] for name in OPEN}, low_memory=False
    )


def read_values(path: Path, names: Sequence[str]) -> Iterator[pd.DataFrame]:
    """`names` and `value` of a table, some rows at a time.

    The names are texts, whatever they were: of a part of the rows their type would be a guess.
    """
    if is_empty(path):
        return
    kinds: dict[str, type] = {**dict.fromkeys(names, str), "value": float}
    with pd.read_csv(
        path,
        usecols=list(kinds),
        dtype=kinds,
        keep_default_na=False,
        na_values={"value": [""]},
        chunksize=CHUNK,
    ) as chunks:
        yield from chunks


def is_empty(path: Path) -> bool:
    """Whether a table has no columns: a line's end at most."""
    return path.stat().st_size < 2


def csv_text(table: pd.DataFrame) -> str:
    """As in the file of the table; nothing for one without rows."""
    return str(table.to_csv(index=False)) if len(table) else ""
