"""Tables as CSV: numbers come back as they were, and names as texts, whatever they look like."""

from functools import partial
from pathlib import Path

import pandas as pd

from vdprobe.studies.analysis.cells import CELL
from vdprobe.training.checkpoint import replace_file

TEXTS = (*(name for name in CELL if name not in ("control", "seed")), "video", "factor", "first", "second")
OPEN = ("value", "mean", "low", "high", "seed_sd", "effect", "control")
"""Columns that are empty where there is no number; `control` where two backbones are compared."""


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Whoever looks sees a whole one."""
    replace_file(path, partial(table.to_csv, index=False))


def read_table(path: Path) -> pd.DataFrame:
    """What `write_table` wrote; a table without columns is empty."""
    if path.stat().st_size < 2:
        return pd.DataFrame()
    texts: dict[str, type[str]] = dict.fromkeys(TEXTS, str)
    return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values={name: [""] for name in OPEN})
