"""What is committed is on the disk, before its name says so."""

import errno
import os
from pathlib import Path

import pytest
from store_things import make_item, make_spec, write

from vdprobe.store import flush as flush_module
from vdprobe.store.store import FeatureStore
from vdprobe.training.checkpoint import replace_file, replace_files


@pytest.fixture
def events(monkeypatch):
    """("flush", inode) and ("rename", inode of what gets its name, inode of the folder), in their order."""
    seen = []
    fsync = os.fsync

    def noted(file):
        seen.append(("flush", os.fstat(file).st_ino))
        fsync(file)

    def renaming(rename):
        def call(source, target):
            inode = os.stat(source).st_ino
            rename(source, target)
            seen.append(("rename", inode, os.stat(Path(target).parent).st_ino))

        return call

    monkeypatch.setattr(os, "fsync", noted)
    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, renaming(getattr(os, name)))
    return seen


def check(events, path: Path) -> None:
    """All of `path` was flushed before it got its name, and the name afterwards."""
    inodes = {p.stat().st_ino for p in (path, *path.rglob("*"))}
    (at,) = (n for n, event in enumerate(events) if event[:2] == ("rename", path.stat().st_ino))
    assert inodes <= {event[1] for event in events[:at] if event[0] == "flush"}
    assert ("flush", path.parent.stat().st_ino) in events[at:]


def test_an_item_and_what_names_it(tmp_path, events):
    store, spec, item = FeatureStore.create(tmp_path / "store"), make_spec(store_dtype="int8"), make_item()
    check(events, store.root / "store.json")
    store.write_spec(spec, {})
    folder = store.root / spec.key[:16]
    check(events, folder / "spec.json")
    assert ("flush", store.root.stat().st_ino) in events  # the folder's own name
    events.clear()
    write(store, spec, item)
    check(events, store.get(spec.key, item).path)
    assert ("flush", folder.stat().st_ino) in events  # that of the video's


def test_not_where_it_is_not_asked_for(tmp_path, events):
    store = FeatureStore.create(tmp_path / "store", durable=False)
    write(store, make_spec(), make_item())
    assert events and not [event for event in events if event[0] == "flush"]


def test_checkpoints(tmp_path, events):
    replace_file(tmp_path / "state.pt", lambda part: part.write_bytes(b"1"))
    check(events, tmp_path / "state.pt")
    events.clear()
    replace_files(tmp_path / "last", lambda part: [(part / name).write_bytes(b"1") for name in ("a", "b")])
    for name in ("a", "b"):
        check(events, tmp_path / "last" / name)
    assert ("flush", tmp_path.stat().st_ino) in events


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_file_systems_that_flush_no_folders(tmp_path, monkeypatch, code):
    (tmp_path / "file").touch()

    def refuse(_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    flush_module.flush(tmp_path)
    with pytest.raises(OSError, match=os.strerror(code)):
        flush_module.flush(tmp_path / "file")
