"""The record of what a complete group holds. It, and never "the folder exists", says that an item is done.

It is the attributes of an empty zarr group named `commit`, so that zarr, which warns of any file that
is not its own, finds nothing to warn of.

Files are not flushed to the disk one by one: that would cost more than the features themselves, and a
lost item can be computed again. After a power cut, a short file fails the size check on resume, and
`vdprobe store verify` reads every checksum.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vdprobe.specs.features import Item
from vdprobe.store.checksum import ALGORITHM
from vdprobe.store.layout import read_json, to_json

NAME = "commit/zarr.json"


@dataclass(frozen=True)
class Record:
    """The full keys of an item and its spec, and for each other file its size in bytes and its checksum."""

    item: str
    spec: str
    checksum: str
    files: dict[str, tuple[int, str]]


def write_record(group: Path, spec_key: str, item: Item, files: Mapping[str, tuple[int, str]]) -> None:
    """The last file written to a group."""
    value = {"item": item.key(spec_key), "spec": spec_key, "checksum": ALGORITHM, "files": dict(files)}
    (group / NAME).parent.mkdir()
    (group / NAME).write_bytes(to_json({"attributes": value, "zarr_format": 3, "node_type": "group"}))


def read_record(group: Path) -> Record | None:
    """The record of a group, None when it is absent or damaged."""
    head = read_json(group / NAME)
    if head is None:
        return None
    try:
        value = head["attributes"]
        return Record(
            item=str(value["item"]),
            spec=str(value["spec"]),
            checksum=str(value["checksum"]),
            files={str(name): (int(size), str(checksum)) for name, (size, checksum) in value["files"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


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
