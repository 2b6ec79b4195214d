"""Claims: who works on what. Advisory: they order the work, and nothing is wrong without them."""

import json
import os
import time
from pathlib import Path

from vdprobe.store.layout import folder_name
from vdprobe.store.owner import host


def claim_path(root: Path, name: str) -> Path:
    """The file of a claim."""
    return root / "claims" / folder_name(name)


def take(root: Path, name: str) -> bool:
    """Claim `name` for this process; False if someone, dead or alive, holds it. Raises `OSError`."""
    path = claim_path(root, name)
    path.parent.mkdir(exist_ok=True)
    try:
        with open(path, "x", encoding="utf-8") as file:
            json.dump({"name": name, "host": host(), "pid": os.getpid(), "time": time.time()}, file)
    except FileExistsError:
        return False
    return True


def give_back(root: Path, name: str) -> None:
    """Drop a claim; one that is gone already is no error."""
    claim_path(root, name).unlink(missing_ok=True)
