"""Tables of work that is done, so that what was stopped goes on: a CSV of values and a JSON of what has none."""

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from vdprobe.data.video import Failure
from vdprobe.training.checkpoint import replace_file

Part = tuple[pd.DataFrame | Path, list[Failure]]
"""Values as `video_values` makes them, or the CSV that holds them; and what could not be measured."""


def read_part(folder: Path, name: str) -> Part | None:
    """What `write_part` left under a name, None where it left nothing."""
    table, lacks = folder / f"{name}.csv", folder / f"{name}.json"
    if not (table.exists() and lacks.exists()):
        return None
    return table, [Failure(**lack) for lack in json.loads(lacks.read_text("utf-8"))]


def write_part(folder: Path, name: str, made: Iterable[tuple[str, list[Failure]]]) -> Part:
    """A part of many tables, each given as the text of its CSV, and what of each could not be measured.

    One table is in memory at a time. Whoever looks sees a whole part or none.
    """
    lacks: list[Failure] = []

    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            begun = False
            for text, missing in made:
                file.write(text.partition("\n")[2] if begun else text)
                begun = begun or bool(text)
                lacks.extend(missing)

    replace_file(folder / f"{name}.csv", write)
    plain = json.dumps([{"where": lack.where, "error": lack.error} for lack in lacks])
    replace_file(folder / f"{name}.json", lambda part: part.write_text(plain, "utf-8"))
    return folder / f"{name}.csv", lacks
