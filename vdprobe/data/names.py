"""Names that differ in their Unicode normal form only: macOS and its zips decompose accents, other systems do not."""

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath


def nfc(name: str) -> str:
    """The name with its accents composed: equal for names that look alike."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def find_name(name: str, known: Iterable[str]) -> str | None:
    """The name itself where it is `known`, else the one that differs in normal form only, None where there is none."""
    names = known if isinstance(known, set | frozenset | dict) else set(known)
    if name in names or name.isascii():
        return name if name in names else None
    alike = [other for other in names if nfc(other) == nfc(name)]
    return alike[0] if len(alike) == 1 else None


def named_entry(folder: Path, name: str) -> Path:
    """`folder / name`, or the entry there whose name differs in normal form only."""
    path = folder / name
    if name.isascii() or os.path.lexists(path):
        return path
    for part in PurePosixPath(name).parts:
        entries = os.listdir(folder) if folder.is_dir() else []
        folder = folder / (find_name(part, entries) or part)
    return folder
