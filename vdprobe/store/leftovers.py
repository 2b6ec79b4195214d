"""What processes that ended have left: temporary folders, and claims."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from vdprobe.errors import StoreError
from vdprobe.store import claims
from vdprobe.store.finding import Finding
from vdprobe.store.folders import children
from vdprobe.store.json_files import read_json
from vdprobe.store.layout import discard
from vdprobe.store.owner import fresh_name, is_dead
from vdprobe.store.store import FeatureStore

STALE_AFTER = 24 * 3600.0
"""Seconds after which a temporary folder of another host, whose processes cannot be asked, counts as dead."""


def clean_leftovers(store: FeatureStore, *, aged: bool = False) -> list[Finding]:
    """Remove temporary folders of processes of this host that ended, and claims that are nobody's any more.

    Done before extracting; gives what was removed. Raises `StoreError` where removing fails.

    - `aged`: also temporary things of other hosts that are older than a day.
    """
    found = list(_temporary(store.root, aged))
    for finding in found:
        remove(store.root, finding.path)
    return [*found, *_claims(store.root)]


def remove(root: Path, path: Path) -> None:
    """Out of sight in one step, then off the disk: nobody sees a group with half its files. Raises `StoreError`."""
    aside = root / "tmp" / fresh_name()
    try:
        aside.parent.mkdir(exist_ok=True)
        os.rename(path, aside)
        discard(aside)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"cannot remove {path}: {error.strerror}; remove it by hand") from error


def _temporary(root: Path, aged: bool) -> Iterator[Finding]:
    for path in _listed(root / "tmp"):
        parts = path.name.rsplit("-", 2)
        known = len(parts) == 3 and parts[1].isascii() and parts[1].isdecimal() and len(parts[1]) < 20
        owner, pid = (parts[0], int(parts[1])) if known else ("", 0)
        if is_dead(owner, pid):
            yield Finding(path, "none committed", f"temporary, its process {pid} ended")
            continue
        try:
            age = time.time() - path.lstat().st_mtime
        except FileNotFoundError:  # finished meanwhile
            continue
        if aged and age > STALE_AFTER:
            yield Finding(path, "none committed", f"temporary, {age / 3600:.0f} hours old")


def _claims(root: Path) -> Iterator[Finding]:
    for path in _listed(root / "claims"):
        name = (read_json(path) or {}).get("name")
        try:
            why = claims.drop_dead(root, path)
        except OSError as error:
            raise StoreError(f"cannot remove {path}: {error.strerror}; remove it by hand") from error
        if why is not None:
            yield Finding(path, name if isinstance(name, str) else path.name, f"claim, {why}")


def _listed(folder: Path) -> list[Path]:
    try:
        return children(folder)
    except OSError as error:
        raise StoreError(f"cannot read the folder {folder}: {error.strerror}; make it readable") from error
