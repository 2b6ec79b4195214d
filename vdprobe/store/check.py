"""Find what is broken in a store, and remove it so that the next extraction computes it again."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vdprobe.errors import StoreError
from vdprobe.store.checksum import ALGORITHM, checksum_file
from vdprobe.store.item import load_item
from vdprobe.store.layout import SPEC_FOLDER, discard, read_json
from vdprobe.store.owner import fresh_name, is_dead
from vdprobe.store.record import NAME, missing_file, read_record
from vdprobe.store.store import FeatureStore, read_spec

STALE_AFTER = 24 * 3600.0
"""Seconds after which a leftover of another host, whose processes cannot be asked, counts as dead."""


@dataclass(frozen=True)
class Finding:
    """One problem; `path` is what `repair` removes, `item` says whose features are concerned."""

    path: Path
    item: str
    problem: str


def verify(store: FeatureStore, spec_key: str | None = None) -> Iterator[Finding]:
    """Read every file of the store, or of one spec (key or unique prefix), against the commit records."""
    if spec_key is None:
        folders = sorted(p for p in store.root.iterdir() if SPEC_FOLDER.fullmatch(p.name))
    else:
        folders = [store.resolve_spec(spec_key).path]
    for folder in folders:
        groups = sorted(folder.glob("*/*.zarr"))
        if read_spec(folder / "spec.json") is None:
            yield Finding(
                folder / "spec.json",
                f"spec {folder.name}, {len(groups)} items",
                "missing, damaged or of another spec; the next extraction of this spec writes it and keeps the items",
            )
        for group in groups:
            yield from verify_group(group, folder.name)


def verify_group(group: Path, spec_prefix: str) -> Iterator[Finding]:
    """The problems of one group in the folder of a spec."""
    item = _describe(group)
    record = read_record(group)
    if record is None:
        yield Finding(group, item, f"{NAME} is missing or damaged")
        return
    if record.checksum != ALGORITHM:
        yield Finding(group, item, f"{NAME} names an unknown checksum '{record.checksum}'")
        return
    for name, (size, checksum) in record.files.items():
        path = group / name
        try:
            found = path.stat().st_size
            if found != size:
                yield Finding(group, item, f"{name} has {found} bytes and not {size}")
            elif checksum_file(path) != checksum:
                yield Finding(group, item, f"{name} is not what was written (checksum differs)")
        except FileNotFoundError:
            yield Finding(group, item, f"{name} is missing")
        except OSError as error:
            yield Finding(group, item, f"{name} cannot be read ({error.strerror})")
    if record.spec[:16] != spec_prefix or record.item[:16] != group.stem:
        yield Finding(group, item, f"{NAME} holds the keys of another item")
    elif missing_file(group, record) is None and load_item(group, record.spec) is None:
        yield Finding(group, item, "zarr.json describes another item than its key")
    for file in sorted(p for p in group.rglob("*") if not p.is_dir()):
        if (name := file.relative_to(group).as_posix()) != NAME and name not in record.files:
            yield Finding(file, item, f"{name} is not in the commit record")


def repair(store: FeatureStore) -> list[Finding]:
    """Remove what `verify` finds broken, temporary folders and claims of dead processes, and those of
    other hosts older than a day. Gives what was removed. Raises `StoreError` where removing fails.
    """
    found = [*verify(store), *_leftovers(store, aged=True)]
    for finding in found:
        _remove(store, finding.path)
    return found


def clean_leftovers(store: FeatureStore) -> list[Finding]:
    """Remove temporary folders and claims of processes of this host that ended; done before extracting."""
    found = list(_leftovers(store, aged=False))
    for finding in found:
        _remove(store, finding.path)
    return found


def _leftovers(store: FeatureStore, *, aged: bool) -> Iterator[Finding]:
    for path in sorted((store.root / "tmp").glob("*")):
        parts = path.name.rsplit("-", 2)
        known = len(parts) == 3 and parts[1].isdecimal()
        owner, pid = (parts[0], int(parts[1])) if known else ("", 0)
        if why := _why_dead(path, owner, pid, aged):
            yield Finding(path, "none committed", f"temporary, {why}")
    for path in sorted((store.root / "claims").glob("*")):
        claim = read_json(path) or {}
        holder = claim.get("pid")
        if why := _why_dead(path, str(claim.get("host")), holder if isinstance(holder, int) else 0, aged):
            yield Finding(path, str(claim.get("name", path.name)), f"claim, {why}")


def _why_dead(path: Path, owner: str, pid: int, aged: bool) -> str | None:
    if is_dead(owner, pid):
        return f"its process {pid} ended"
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:  # finished meanwhile
        return None
    return f"{age / 3600:.0f} hours old" if aged and age > STALE_AFTER else None


def _remove(store: FeatureStore, path: Path) -> None:
    """Out of sight in one step, then off the disk: nobody sees a group with half its files."""
    aside = store.root / "tmp" / fresh_name()
    try:
        aside.parent.mkdir(exist_ok=True)
        os.rename(path, aside)
        discard(aside)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"cannot remove {path}: {error.strerror}; remove it by hand") from error


def _describe(group: Path) -> str:
    head = read_json(group / "zarr.json") or {}
    try:
        item = head["attributes"]["item"]
        text = "" if item["text"] is None else f", text {item['text'][:60]!r}"
        return f"video '{item['video']}', frames {item['frames'][0]}..{item['frames'][-1]}{text}"
    except (KeyError, TypeError, IndexError):
        return f"folder '{group.parent.name}'"
