"""Tables of work that is done, so that what was stopped goes on: a CSV of values and a JSON of what has none."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vdprobe.data.text_files import read_json
from vdprobe.data.video import Failure
from vdprobe.errors import ConfigError, DataError
from vdprobe.specs.canonical import to_plain
from vdprobe.specs.load import build
from vdprobe.training.checkpoint import replace_file

Part = tuple[pd.DataFrame | Path, list[Failure]]
"""Values as `video_values` makes them, or the CSV that holds them; and what could not be measured."""


def read_part(folder: Path, name: str) -> Part | None:
    """What `write_part` left under a name, None where that is nothing, or no longer what it was: it is made again."""
    table, about = folder / f"{name}.csv", folder / f"{name}.json"
    if not (table.exists() and about.exists()):
        return None
    try:
        found = build(_About, read_json(about))
    except (ConfigError, DataError):
        return None
    return (table, list(found.lacks)) if found.checksum == _checksum(table) else None


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
    table = folder / f"{name}.csv"
    about = _About(checksum=_checksum(table), lacks=tuple(lacks))
    replace_file(folder / f"{name}.json", lambda part: part.write_text(json.dumps(to_plain(about)), "utf-8"))
    return table, lacks


@dataclass(frozen=True)
class _About:
    """What lies beside a table: a checksum of it, and what could not be measured."""

    checksum: str
    lacks: tuple[Failure, ...]


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
