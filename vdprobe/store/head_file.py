"""`store.json`: says that a folder is a store, and in which schema."""

from pathlib import Path
from typing import Any

from vdprobe.errors import StoreUnusableError
from vdprobe.store.json_files import OWN, NotJson, is_int, is_signed, load_json, signed

NAME = "store.json"
FORMAT, SCHEMA = "vdprobe feature store", 2
"""2: the file of a timestep ends in an index of its maps (`shard`), taps may have `spans`, and timesteps need not be
whole numbers. Items of both kinds may be in one store, each of which says what it is; a store becomes one of schema 2
when the first such item is written to it.
"""


def head_content() -> dict[str, Any]:
    """What is written of a new store."""
    return signed({"format": FORMAT, "schema": SCHEMA})


def check_head(root: Path) -> int:
    """The schema of the store.

    Raises `NotJson` for a head that is damaged or not ours, `OSError` for none, `StoreUnusableError` for a newer one.
    """
    try:
        value = load_json(root / NAME)
        proved = is_signed(value)
    except NotJson as error:
        raise NotJson(f"is not that of a vdprobe store, or damaged (it {error})") from error
    schema = value.get("schema")
    if value.keys() - {OWN} != {"format", "schema"} or value["format"] != FORMAT or not is_int(schema) or schema < 1:
        raise NotJson("is not that of a vdprobe store, or damaged")
    if schema > SCHEMA:
        raise StoreUnusableError(
            f"{root} was written by a newer vdprobe (schema {schema}, this one reads {SCHEMA}): upgrade vdprobe"
        )
    if schema > 1 and not proved:  # stores of the first schema had no checksum at first
        raise NotJson("is not that of a vdprobe store, or damaged")
    return schema
