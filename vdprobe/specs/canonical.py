"""Canonical JSON and its hash: the same meaning always gives the same key."""

import dataclasses
import hashlib
import json
from typing import Any

DESCRIPTIVE = {"descriptive": True}
"""Metadata of a dataclass field that is kept for the reader and left out of the key."""


LEFT_OUT = {"left_out": True}
"""Metadata of a dataclass field that is left out while it is empty: it came after keys were in use."""


def to_plain(value: Any, *, keyed: bool = False) -> Any:
    """Dataclasses to dicts and tuples to lists; with `keyed`, descriptive fields are dropped."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: to_plain(getattr(value, f.name), keyed=keyed)
            for f in dataclasses.fields(value)
            if not (keyed and f.metadata.get("descriptive"))
            and not (f.metadata.get("left_out") and not getattr(value, f.name))
        }
    if isinstance(value, dict):
        return {str(k): to_plain(v, keyed=keyed) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(v, keyed=keyed) for v in value]
    return value


def canonical_json(value: Any) -> str:
    """Sorted keys, no spaces, no NaN: one string for one meaning."""
    plain = to_plain(value, keyed=True)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical_hash(value: Any) -> str:
    """SHA-256 of the canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()
