"""The record of what a complete group holds. It, and never "the folder exists", says that an item is done.

It is the attributes of an empty zarr group named `commit`, so that zarr, which warns of any file that
is not its own, finds nothing to warn of. It holds a checksum of each other file, and one of itself.

Records without one of their own, as they were written first, prove as much: keys that are hashes of what the
group says, checksums that fit the files, and names that are exactly those that taps and timesteps imply.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vdprobe.specs.features import Item
from vdprobe.store.checksum import ALGORITHM
from vdprobe.store.json_files import OWN, NotJson, is_int, is_signed, load_json, signed, to_json

NAME = "commit/zarr.json"
HEAD = {"zarr_format": 3, "node_type": "group"}
KEYS = {"item", "spec", "checksum", "files"}


@dataclass(frozen=True)
class Record:
    """The full keys of an item and its spec, and for each other file its size in bytes and its checksum."""

    item: str
    spec: str
    files: dict[str, tuple[int, str]]


def write_record(group: Path, spec_key: str, item: Item, files: Mapping[str, tuple[int, str]]) -> None:
    """The last file written to a group."""
    value = {"item": item.key(spec_key), "spec": spec_key, "checksum": ALGORITHM, "files": dict(files)}
    (group / NAME).parent.mkdir()
    (group / NAME).write_bytes(to_json({"attributes": signed(value), **HEAD}))


def load_record(group: Path) -> Record:
    """The record of a group. Raises `NotJson` for a damaged one, and `OSError` where it cannot be read."""
    head = load_json(group / NAME)
    value = head.pop("attributes", None)
    if head != HEAD or not isinstance(value, dict):
        raise NotJson("is not a record")
    is_signed(value)
    if value.keys() - {OWN} != KEYS:
        raise NotJson("is not a record")
    if value["checksum"] != ALGORITHM:
        raise NotJson(f"names an unknown checksum {value['checksum']!r:.40}")
    if not (isinstance(value["item"], str) and isinstance(value["spec"], str) and _are_files(value["files"])):
        raise NotJson("is not a record")
    return Record(value["item"], value["spec"], {name: (size, crc) for name, (size, crc) in value["files"].items()})


def read_record(group: Path) -> Record | None:
    """The record of a group, None when it is absent or damaged."""
    try:
        return load_record(group)
    except (OSError, NotJson):
        return None


def implied_files(taps: Iterable[str], rows: int, *, scaled: bool) -> set[str]:
    """The names of all files of a group but its record.

    - `rows`: timesteps, 1 where there are none. `scaled`: whether each tap has steps beside it, as int8 has.
    """
    names = {"zarr.json"}
    for tap in taps:
        names |= {f"{tap}/zarr.json", *(f"{tap}/c/{row}/0/0/0/0" for row in range(rows))}
        if scaled:
            names |= {f"{tap}.scale/zarr.json", f"{tap}.scale/c/0/0"}
    return names


def missing_file(group: Path, record: Record) -> str | None:
    """The first recorded file that is absent or of another size, None when all are there (contents unread)."""
    for name, (size, _) in record.files.items():
        try:
            if os.stat(f"{group}/{name}").st_size != size:
                return name
        except (OSError, ValueError):
            return name
    return None


def read_whole(group: Path, spec_key: str, item_key: str | None = None) -> Record | None:
    """The record of the committed item of these keys, judged by it and file sizes; None where `group` is not one.

    - `item_key`: None for whichever item it is.
    """
    record = read_record(group)
    if record is None or record.spec != spec_key or missing_file(group, record) is not None:
        return None
    return record if item_key in (None, record.item) else None


def _are_files(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(entry, list)
        and len(entry) == 2
        and is_int(entry[0])
        and 0 <= entry[0] < 1 << 63
        and isinstance(entry[1], str)
        for entry in value.values()
    )
