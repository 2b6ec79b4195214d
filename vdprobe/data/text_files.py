"""Text and JSON files that people wrote, with errors that say where they are wrong."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from vdprobe.errors import DataError


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark; raises `DataError` otherwise."""
    try:
        return path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; give the path of a readable file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start}); save it again as UTF-8") from error
    except ValueError as error:
        raise DataError(f"{str(path)!r} can be no path ({error}); check its characters") from error


def read_ids(path: Path) -> list[str]:
    """The ids in a text file, with white space between; raises `DataError` when one stands there twice."""
    ids = read_text(path).split()
    if len(set(ids)) < len(ids):
        twice = next(id for id, count in Counter(ids).items() if count > 1)
        raise DataError(f"{path} lists {twice!r} twice; fetch the file again")
    return ids


def read_list(path: Path, what: str) -> list[Any]:
    """The list in a JSON file; `what` its items are is for the error."""
    value = read_json(path)
    if not isinstance(value, list):
        raise DataError(f"{path} holds no list of {what}; fetch the file again")
    return value


def read_json(path: Path) -> Any:
    """The value in a JSON file; raises `DataError` when it is malformed or repeats a key."""
    return parse_json(read_text(path), str(path))


def parse_json(text: str, path: str) -> Any:
    """The value of a JSON text, `path` is where it stands; raises `DataError` as `read_json`."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # json keeps the last of two equal keys: the first one's videos would be gone without a word
        out: dict[str, Any] = {}
        for key, value in pairs:
            if key in out:
                raise DataError(f"{path}: the key {key!r} stands twice in one mapping; merge or rename one")
            out[key] = value
        return out

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path} is not valid JSON at line {error.lineno}, column {error.colno}: {error.msg.lower()}"
        ) from error
    except RecursionError as error:
        raise DataError(f"{path} is nested too deeply to be read; a file of expressions has two levels") from error
    except ValueError as error:  # of Python's limit on the digits of a whole number, which take quadratic time
        raise DataError(f"{path} holds a whole number of thousands of digits, which is not read; correct it") from error
