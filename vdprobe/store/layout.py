"""Names and paths of a store.

<root>/store.json                                  what this folder is
<root>/<spec key, 16 hex>/spec.json                one computation, in words
<root>/<spec key, 16 hex>/<video>/<item key, 16 hex>.zarr/    one immutable zarr group
<root>/tmp/<host>-<pid>-<uuid>                     under construction, or on its way out
<root>/claims/<name>                               who works on what; advisory

A group holds an array for each tap and an empty group `commit`, whose attributes are the record of all files.
"""

import hashlib
import re
import shutil
from pathlib import Path

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


def is_tap(tap: object) -> bool:
    """Whether `tap` is a dotted path that can name an array."""
    return isinstance(tap, str) and bool(TAP.fullmatch(tap)) and not tap.startswith("__") and not tap.endswith(RESERVED)


def check_tap(tap: str) -> None:
    """Raises `ConfigError` unless `tap` is a dotted path that can name an array."""
    if not is_tap(tap):
        raise ConfigError(f"tap '{tap}' cannot name an array of the store; a tap is a dotted path such as unet.down.0")


def discard(path: Path) -> None:
    """Remove a file or a folder with all it holds; one that is gone already is no error."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        pass
