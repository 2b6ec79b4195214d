"""The small JSON files of a store: written in one step, read with a doubt about every byte.

What is read may be damaged in any way, or be made to stop whoever reads it: it is one mapping, of bounded size and
depth, with no key twice, and anything else is not what was written.
"""

import json
import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from vdprobe.store.checksum import extend
from vdprobe.store.flush import flush

LARGEST = 1 << 26
"""Bytes of the longest file that is read as JSON: a record of a thousand taps at a hundred timesteps is a tenth."""
DEEPEST = 100
"""Mappings and lists within each other."""
OWN = "checksum of this"
"""The key under which a mapping holds the checksum of the rest of it."""


class NotJson(ValueError):
    """A file that is there and is not what a store writes; the message says what is wrong with it."""


def read_bytes(path: Path) -> bytes:
    """A plain file of at most `LARGEST` bytes. Raises `OSError`, and `NotJson` for anything else."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would be waited for
    except ValueError as error:
        raise NotJson(f"has a name that no file can have ({error})") from error
    with open(file, "rb") as opened:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise NotJson("is not a file")
        if found.st_size > LARGEST:
            raise NotJson(f"has {found.st_size:,} bytes, and such a file has at most {LARGEST:,}")
        return opened.read()


def parse_json(content: bytes) -> dict[str, Any]:
    """The mapping in `content`. Raises `NotJson`."""
    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_without_repeats, parse_constant=_refuse)
    except RecursionError as error:
        raise NotJson("is nested too deep") from error
    except NotJson:
        raise
    except ValueError as error:  # not UTF-8, not JSON, a number of thousands of digits
        raise NotJson("is not JSON") from error
    if not isinstance(value, dict):
        raise NotJson("is not a mapping")
    if _is_deeper(value, DEEPEST):
        raise NotJson("is nested too deep")
    return value


def load_json(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file. Raises `NotJson`, and `OSError` where the file cannot be read."""
    return parse_json(read_bytes(path))


def read_json(path: Path) -> dict[str, Any] | None:
    """The mapping in a JSON file, None when it is absent or damaged."""
    try:
        return load_json(path)
    except (OSError, NotJson):
        return None


def to_json(value: Mapping[str, Any]) -> bytes:
    """ASCII JSON on one line, since indenting is ten times slower. Raises `TypeError` or `ValueError`."""
    return json.dumps(value, allow_nan=False).encode("ascii")


def replace_json(path: Path, value: Mapping[str, Any], beside: Path, *, durable: bool = False) -> None:
    """Put a JSON file in place in one step; `beside` is the file it is first written to.

    - `durable`: only once it is on the disk, and back only when its name is there too.
    """
    beside.write_bytes(to_json(value))
    if durable:
        flush(beside)
    os.replace(beside, path)
    if durable:
        flush(path.parent)


def signed(value: Mapping[str, Any]) -> dict[str, Any]:
    """`value` with its own checksum in it."""
    return {**value, OWN: _own(value)}


def is_signed(value: Mapping[str, Any]) -> bool:
    """Whether a mapping has a checksum of its own; stores had none at first. Raises `NotJson` for one that is wrong."""
    if OWN not in value:
        return False
    if value[OWN] != _own({name: inner for name, inner in value.items() if name != OWN}):
        raise NotJson("is not what was written (its own checksum differs)")
    return True


def is_int(value: object) -> TypeGuard[int]:
    """Whether a JSON value is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a JSON value is a finite number, whole or not."""
    return is_int(value) or (isinstance(value, float) and math.isfinite(value))


def _own(value: Mapping[str, Any]) -> str:
    try:
        return f"{extend(0, to_json(value)):08x}"
    except ValueError as error:  # a float that is infinite
        raise NotJson("holds a number that is not finite") from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise NotJson("has a key twice")
    return value


def _refuse(name: str) -> Any:
    raise NotJson(f"holds {name}, which is not JSON")


def _is_deeper(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
