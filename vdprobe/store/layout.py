"""Names, paths and small JSON files of a store.

<root>/store.json                                  what this folder is
<root>/<spec key, 16 hex>/spec.json                one computation, in words
<root>/<spec key, 16 hex>/<video>/<item key, 16 hex>.zarr/    one immutable zarr group
<root>/tmp/<host>-<pid>-<uuid>                     under construction, or on its way out
<root>/claims/<name>                               who works on what; advisory

A group holds an array for each tap and an empty group `commit`, whose attributes are the record of all files.
"""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from vdprobe.errors import ConfigError
from vdprobe.specs.features import Item

SPEC_FOLDER = re.compile(r"[0-9a-f]{16}")
TAP = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
RESERVED = (".scale", "zarr.json", "commit")


def folder_name(name: str) -> str:
    """A file name for any video id: letters, digits, `-`, `_` and spaces stay, the rest is percent-encoded.

    A long name is cut and ends in its hash, since file systems allow 255 bytes.
    """
    out = "".join(
        c if c.isalnum() or c in "-_ " else "".join(f"%{b:02X}" for b in c.encode("utf-8", "surrogatepass"))
        for c in name
    )
    if len(out.encode()) > 200:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        return f"{out[:40]}%{digest[:16]}"
    return out or "%"


def spec_path(root: Path, spec_key: str) -> Path:
    """The folder of a spec."""
    return root / spec_key[:16]


def item_path(root: Path, spec_key: str, item: Item) -> Path:
    """The group of an item."""
    return root / spec_key[:16] / folder_name(item.video) / f"{item.key(spec_key)[:16]}.zarr"


def check_tap(tap: str) -> None:
    """Raises `ConfigError` unless `tap` is a dotted path that can name an array."""
    if not TAP.fullmatch(tap) or tap.startswith("__") or tap.endswith(RESERVED):
        raise ConfigError(f"tap '{tap}' cannot name an array of the store; a tap is a dotted path such as unet.down.0")


def read_json(path: Path) -> dict[str, Any] | None:
    """The mapping in a JSON file, None when it is absent or damaged."""
    try:
        with open(path, "rb") as file:
            value = json.loads(file.read())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def to_json(value: dict[str, Any]) -> bytes:
    """ASCII JSON on one line, since indenting is ten times slower. Raises `TypeError` or `ValueError`."""
    return json.dumps(value, allow_nan=False).encode("ascii")


def replace_json(path: Path, value: dict[str, Any], beside: Path) -> None:
    """Put a JSON file in place in one step; `beside` is the file it is first written to."""
    beside.write_bytes(to_json(value))
    os.replace(beside, path)


def discard(path: Path) -> None:
    """Remove a file or a folder with all it holds; one that is gone already is no error."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        pass
