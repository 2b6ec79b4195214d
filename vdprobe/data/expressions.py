"""Expressions, and the JSON or CSV file that gives them to videos that bring none."""

import csv
import io
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vdprobe.data.names import find_name
from vdprobe.data.text_files import read_json, read_text
from vdprobe.data.video import Expression, LackError, check_id
from vdprobe.errors import DataError, suggest

COLUMNS = ("video", "expression_id", "text", "object_id")
SHAPE = '{"video id": ["text", ...]} or {"video id": {"expression id": "text"}}'
Listed = tuple[str, tuple[str, ...] | None]
"""A text, and the ids of the objects it means."""


def make_expression(
    id: str, text: str, where: str, object_ids: tuple[str, ...] | None = None, frame: int | None = None
) -> Expression:
    """An expression with its text as written; raises `DataError` for an unusable id or an empty text."""
    check_id(id, where)
    odd = next((c for c in text if unicodedata.category(c) in ("Cc", "Cs") and not _is_space(c)), None)
    if odd is not None:
        what = "half of a character" if unicodedata.category(odd) == "Cs" else "a control character"
        raise DataError(f"{where}: the text of expression {id!r} holds U+{ord(odd):04X}, {what}; write it anew")
    if not text.strip():
        error = f"{where}: expression {id!r} has an empty text; describe the object in words, or remove the entry"
        raise LackError(error, "texts empty")
    return Expression(id, text, object_ids, frame)


def _is_space(character: str) -> bool:
    # of the control characters those that text editors write; and C1, which files in Windows-1252 are full of
    return character in "\t\n\v\f\r" or "\x80" <= character <= "\x9f"


def read_expressions(path: Path, video_ids: Iterable[str]) -> dict[str, dict[str, Listed]]:
    """Video id to expression id to text, as written in a `.json` or `.csv` file, and its objects where it says them.

    JSON holds `{video: [text, ...]}` or `{video: {expression id: text}}`, where a text may also be
    `{"exp": text, "obj_id": id}`; CSV has the columns `video`, `text` and, if wanted, `expression_id` and
    `object_id` (several with spaces between). Texts without an id are numbered from 0.
    Raises `DataError` when the file is not UTF-8, malformed, or names a video not in `video_ids`.
    """
    readers = {".json": _read_json, ".csv": _read_csv}
    read = readers.get(path.suffix.lower())
    if read is None:
        raise DataError(f"{path}: expressions are read from .json or .csv; convert it to one of them")
    known = set(video_ids)
    out: dict[str, dict[str, Listed]] = {}
    for video, texts in read(path).items():
        name = find_name(video, known)
        if name is None:
            raise DataError(f"{path}: there is no video {video!r}; {suggest(video, sorted(known))}")
        if name in out:
            raise DataError(f"{path}: {video!r} stands twice, written in two ways that look alike; merge the two")
        out[name] = texts
    return out


def _read_json(path: Path) -> dict[str, dict[str, Listed]]:
    value = read_json(path)
    if not isinstance(value, Mapping):
        raise DataError(f"{path} must hold {SHAPE}, it holds a {type(value).__name__}")
    out = {}
    for video, texts in value.items():
        if isinstance(texts, list):
            texts = {str(i): text for i, text in enumerate(texts)}
        listed = {id: _listed(text) for id, text in texts.items()} if isinstance(texts, Mapping) else {"": None}
        if None in listed.values():
            raise DataError(f"{path}: the entry of video {video!r} is not a list or mapping of texts; write {SHAPE}")
        out[video] = {id: text for id, text in listed.items() if text is not None}
    return out


def _listed(value: Any) -> Listed | None:
    if isinstance(value, str):
        return value, None
    if not isinstance(value, Mapping) or set(value) != {"exp", "obj_id"}:
        return None
    ids = value["obj_id"] if isinstance(value["obj_id"], list) else [value["obj_id"]]
    if not isinstance(value["exp"], str) or not all(isinstance(id, str | int) for id in ids):
        return None
    return value["exp"], tuple(str(id) for id in ids)


def _read_csv(path: Path) -> dict[str, dict[str, Listed]]:
    rows = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    out: dict[str, dict[str, Listed]] = {}
    try:
        columns = rows.fieldnames or ()
        for column in columns:
            if columns.count(column) > 1:
                raise DataError(f"{path}: the column {column!r} stands twice; remove one")
            if column not in COLUMNS:
                raise DataError(f"{path}: unknown column {column!r}; {suggest(column, COLUMNS)}")
        for column in ("video", "text"):
            if column not in columns:
                raise DataError(f"{path}: the column '{column}' is missing; the first line must be {','.join(COLUMNS)}")
        for row in rows:
            where = f"{path}, line {rows.line_num}"
            if None in row or None in row.values():
                raise DataError(f"{where}: the row does not have {len(columns)} cells; quote texts that hold commas")
            texts = out.setdefault(row["video"], {})
            id = row.get("expression_id", str(len(texts)))
            if not id:
                raise DataError(f"{where}: expression_id is empty; fill it in every row or drop the column")
            if id in texts:
                raise DataError(f"{where}: expression {id!r} of video {row['video']!r} stands twice; rename one")
            texts[id] = row["text"], tuple(row.get("object_id", "").split()) or None
    except csv.Error as error:
        raise DataError(f"{path} is not valid CSV at line {rows.reader.line_num}: {error}; close its quotes") from error
    return out
