"""verify, repair, leftovers, remove."""

import io
import json
import os
import shutil
import time
from pathlib import Path

import pytest
from store_things import TAPS, make_item, make_spec, write, written

from vdprobe.errors import StoreError
from vdprobe.store.check import clean_leftovers, repair, verify
from vdprobe.store.owner import host
from vdprobe.store.remove import remove
from vdprobe.store.store import FeatureStore

DEAD = 2**22 + 1  # above the largest process id of Linux


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def files(group: Path) -> list[str]:
    return sorted(p.relative_to(group).as_posix() for p in group.rglob("*") if p.is_file())


def test_a_sound_store_has_no_findings(store):
    found = written(store)
    written(store, store_dtype="int8")
    assert list(verify(store)) == [] and repair(store) == []
    assert found.path.exists()


def test_any_flipped_bit_is_found_and_mended(store, tmp_path):
    found = written(store, store_dtype="int8")
    spec, item = make_spec(store_dtype="int8"), make_item()
    shutil.copytree(store.root, tmp_path / "sound")
    names = files(found.path)
    assert len(names) == 2 + 2 * 5
    for name in names:
        for at in (0, 20, -1):
            flip(found.path / name, at)
            findings = list(verify(store))
            assert findings, f"byte {at} of {name}"
            assert all(f.path == found.path for f in findings)
            if name != "zarr.json" and name != "commit/zarr.json":
                assert [name in f.problem for f in findings] == [True]
                assert findings[0].item == "video 'bear', frames 0..5, text 'the bear'"
            assert repair(store) == findings
            assert not found.path.exists() and not store.is_committed(spec.key, item)
            assert list(verify(store)) == []
            shutil.copytree(tmp_path / "sound", store.root, dirs_exist_ok=True)
    assert write(store, spec, item) is False


def test_missing_and_extra_files(store):
    found = written(store)
    (found.path / TAPS[0] / "c/0/0/0/0/0").unlink()
    (found.path / "notes.txt").write_text("mine")
    assert [(f.path, f.problem.split()[0]) for f in verify(store)] == [
        (found.path, f"{TAPS[0]}/c/0/0/0/0/0"),
        (found.path / "notes.txt", "notes.txt"),
    ]
    repair(store)
    assert write(store, make_spec(), make_item())


def test_an_extra_file_costs_no_features(store):
    found = written(store)
    (found.path / ".nfs0001").touch()
    assert [f.path for f in repair(store)] == [found.path / ".nfs0001"]
    assert store.is_committed(make_spec().key, make_item())


@pytest.mark.parametrize("change", [{"item": "0" * 64}, {"spec": "0" * 64}, {"checksum": "md5"}, {"files": [1]}])
def test_a_record_of_something_else(store, change):
    found = written(store)
    record = found.path / "commit/zarr.json"
    head = json.loads(record.read_text())
    record.write_text(json.dumps({**head, "attributes": {**head["attributes"], **change}}))
    (finding,) = verify(store)
    assert finding.path == found.path
    repair(store)
    assert not found.path.exists()


def test_a_group_under_another_name(store):
    found = written(store)
    found.path.rename(found.path.with_name("0123456789abcdef.zarr"))
    (finding,) = repair(store)
    assert "keys of another item" in finding.problem
    assert list(found.path.parent.iterdir()) == []


@pytest.mark.parametrize("content", [None, "", "{}", json.dumps({"key": "0" * 64, "spec": {}, "provenance": {}})])
def test_items_outlive_their_spec_file(store, content):
    found = written(store)
    path = found.path.parent.parent / "spec.json"
    path.unlink() if content is None else path.write_text(content)
    (finding,) = repair(store)
    assert finding.path == path and "1 items" in finding.item and not path.exists()
    store.write_spec(make_spec(), {})
    assert list(verify(store)) == [] and len(list(store.items())) == 1


def test_verify_one_spec(store):
    one, other = written(store), written(store, store_dtype="int8")
    flip(one.path / TAPS[0] / "c/0/0/0/0/0", 0)
    assert list(verify(store, other.spec_key)) == []
    assert len(list(verify(store, one.spec_key[:8]))) == 1
    with pytest.raises(StoreError, match="no spec 'xx'"):
        list(verify(store, "xx"))


def leave(store: FeatureStore, name: str, owner: str, pid: int, minutes: float) -> list[Path]:
    """A temporary folder and a claim as a process leaves them."""
    folder = store.root / "tmp" / f"{owner}-{pid}-{name}"
    folder.mkdir()
    (folder / "part").touch()
    claim = store.root / "claims" / name
    claim.parent.mkdir(exist_ok=True)
    claim.write_text(json.dumps({"name": name, "host": owner, "pid": pid, "time": 0}))
    for path in (folder, claim):
        os.utime(path, (time.time() - 60 * minutes,) * 2)
    return [folder, claim]


def test_leftovers(store):
    dead = leave(store, "dead", host(), DEAD, 0)
    alive = leave(store, "alive", host(), os.getpid(), 5)
    stalled = leave(store, "stalled", host(), os.getpid(), 60)  # or another process that got its number
    far = leave(store, "far", "another-host", DEAD, 5)
    gone = leave(store, "gone", "another-host", DEAD, 60)
    old = leave(store, "old", "another-host", DEAD, 25 * 60)
    strange = [store.root / "tmp" / "strange", store.root / "claims" / "torn"]
    for path in strange:
        path.touch()
    claims = {stalled[1], gone[1], old[1]}
    assert {f.path for f in clean_leftovers(store)} == {*dead, *claims}
    assert {f.path for f in repair(store)} == {old[0], strange[1]}
    there = {*alive, *far, stalled[0], gone[0], strange[0]}
    assert all(p.exists() for p in there) and not any(p.exists() for p in (*dead, *old, *claims, strange[1]))
    assert store.claim("dead") and store.claim("gone") and not store.claim("far") and not store.claim("alive")


def test_remove_a_video_then_the_spec(store):
    spec = make_spec()
    for item in (make_item("bear"), make_item("bear", text="x"), make_item("dog")):
        write(store, spec, item)
    kept = written(store, store_dtype="int8")
    size = sum(p.stat().st_size for i in store.items(spec.key) for p in i.path.rglob("*") if p.is_file())
    with pytest.raises(StoreError, match=r"no video 'bera'.*did you mean 'bear'"):
        remove(store, spec.key[:10], "bera")
    items, some = remove(store, spec.key[:10], "bear")
    assert items == 2 and [i.item.video for i in store.items(spec.key)] == ["dog"]
    about = (store.root / spec.key[:16] / "spec.json").stat().st_size
    assert remove(store, spec.key) == (1, size - some + about)
    assert [s.key for s in store.specs()] == [kept.spec_key]
    assert list(verify(store)) == [] and list((store.root / "tmp").iterdir()) == []
    with pytest.raises(StoreError, match="no spec"):
        remove(store, spec.key)


def test_a_spec_that_is_damaged_can_be_removed(store, vdprobe):
    """Its key is the folder's name; what it was nobody can say."""
    found, other = written(store), written(store, store_dtype="int8")
    spec = found.path.parent.parent
    (spec / "spec.json").write_text("{")
    with pytest.raises(StoreError, match=f"no video 'bea' in spec {spec.name}: it has none that can be named"):
        remove(store, spec.name, "bea")
    status, _, err = vdprobe("store", "rm", spec.name[:6], "--yes", "--store", store.root)
    assert status == 0, err
    assert not spec.exists() and other.path.exists()
    assert list(verify(store)) == []


def test_which_spec_is_removed_is_certain(store, vdprobe, monkeypatch):
    found, other = written(store), written(store, store_dtype="int8")
    spec = found.path.parent.parent
    alike = spec.with_name(found.spec_key[:15] + ("0" if found.spec_key[15] != "0" else "1"))
    alike.mkdir()
    (alike / "spec.json").write_text("{")
    for prefix in (spec.name[:6], found.spec_key[:15]):  # a damaged one counts too
        with pytest.raises(StoreError, match=f"'{prefix}' is ambiguous .*: give more of one of .*{alike.name}"):
            remove(store, prefix)
    with pytest.raises(StoreError, match="no spec '"):
        remove(store, found.spec_key[:16] + "g")
    remove(store, found.spec_key)
    assert not spec.exists() and alike.exists() and other.path.exists()
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    status, _, err = vdprobe("store", "rm", alike.name, "--store", store.root)
    assert (status, f"remove {alike.name} (its spec.json is damaged) from" in err) == (1, True)
    assert alike.exists()
