"""`Finding`: one thing that is wrong with a store, or not known of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One problem; `path` is where it lies, `item` says whose features are concerned.

    - `kind`: `damage` is what `repair` removes; `unread` could not be read, so that it may be whole, and `repair`
      leaves it; `unproved` could be read, and has nothing that would prove it: it was written before there was.
    """

    path: Path
    item: str
    problem: str
    kind: Literal["damage", "unread", "unproved"] = "damage"
