"""Tables of work that is done, so that what was stopped goes on: a CSV of values and a JSON of what has none."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from vdprobe.data.video import Failure
from vdprobe.studies.analysis.table_files import read_table, write_table
from vdprobe.training.checkpoint import replace_file

Part = tuple[pd.DataFrame, list[Failure]]
"""Values as `video_values` makes them, and what could not be measured."""


def read_part(folder: Path, name: str) -> Part | None:
    """What `write_part` left under a name, None where it left nothing."""
    table, lacks = folder / f"{name}.csv", folder / f"{name}.json"
    if not (table.exists() and lacks.exists()):
        return None
    return read_table(table), [Failure(**lack) for lack in json.loads(lacks.read_text("utf-8"))]


def write_part(folder: Path, name: str, table: pd.DataFrame, lacks: Sequence[Failure]) -> Part:
    """As it is read, also in the run that wrote it: the same numbers whether or not it was stopped."""
    plain = json.dumps([{"where": lack.where, "error": lack.error} for lack in lacks])
    replace_file(folder / f"{name}.json", lambda part: part.write_text(plain, "utf-8"))
    write_table(folder / f"{name}.csv", table)
    return read_table(folder / f"{name}.csv"), list(lacks)
