"""What `verify` proves of records, specs and places, whatever is in the files of a store."""

import json
import os
import shutil
from pathlib import Path

import pytest
from store_things import TAPS, make_item, make_spec, write, written

from vdprobe.cli.store import ls
from vdprobe.errors import StoreError, StoreUnusableError
from vdprobe.store import folders
from vdprobe.store.check import repair, verify
from vdprobe.store.checksum import checksum_file
from vdprobe.store.json_files import OWN
from vdprobe.store.record import NAME
from vdprobe.store.store import FeatureStore

NAMES = [Path("store.json"), Path("SPEC/spec.json"), *(Path("SPEC/bear/ITEM") / n for n in (NAME, "zarr.json"))]
NAMES += [Path("SPEC/bear/ITEM") / TAPS[0] / "zarr.json", Path("claims/one")]
"""A file of each kind that is JSON; SPEC and ITEM stand for their folders."""


@pytest.fixture
def filled(store):
    """Two items of one spec and one of another, and a claim."""
    store = FeatureStore(store.root, durable=False)
    for item in (make_item(), make_item("dog")):
        write(store, make_spec(), item)
    written(store, store_dtype="int8")
    assert store.claim("one")
    assert list(verify(store)) == []
    return store


def place(store: FeatureStore, name: Path) -> Path:
    spec, item = make_spec(), make_item()
    parts = {"SPEC": spec.key[:16], "ITEM": f"{item.key(spec.key)[:16]}.zarr"}
    return store.root.joinpath(*(parts.get(part, part) for part in name.parts))


def change(path: Path, **values: object) -> None:
    """Other values in the JSON at `path`, in its attributes if it has some."""
    value = json.loads(path.read_text())
    value.get("attributes", value).update(values)
    path.write_text(json.dumps(value))


def unsign(path: Path) -> None:
    """What an earlier version wrote."""
    value = json.loads(path.read_text())
    del value.get("attributes", value)[OWN]
    path.write_text(json.dumps(value))


def contents(store: FeatureStore) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}


def mend(store: FeatureStore) -> None:
    """What an extraction does after `repair`."""
    for spec in (make_spec(), make_spec(store_dtype="int8")):
        for item in (make_item(), make_item("dog")) if spec == make_spec() else (make_item(),):
            write(store, spec, item)


def test_two_names_of_a_record_that_became_one(store):
    """A chunk that no record names is not an extra file of a healthy item."""
    found = written(store)
    record = found.path / NAME
    record.write_text(record.read_text().replace(f"{TAPS[1]}/c/0/0", f"{TAPS[1]}/c/1/0"))
    assert not store.is_committed(make_spec().key, make_item())
    (finding,) = repair(store)
    assert finding.path == found.path and "a key twice" in finding.problem
    assert not found.path.exists()
    assert write(store, make_spec(), make_item())
    assert list(verify(store)) == []


@pytest.mark.parametrize("old", [False, True])
def test_a_record_that_names_other_files_than_its_taps_imply(store, old):
    found = written(store)
    head = json.loads((found.path / NAME).read_text())
    files = head["attributes"]["files"]
    lost = f"{TAPS[1]}/c/0/0/0/0/0"
    (found.path / lost).unlink()
    del files[lost]
    if old:
        del head["attributes"][OWN]
    (found.path / NAME).write_text(json.dumps(head))
    (finding,) = verify(store)
    assert finding.path == found.path
    assert ("imply" if old else "own checksum") in finding.problem
    assert list(store.items()) == []


def test_a_store_of_before_records_had_a_checksum(old_store):
    """Its records prove as much by what they name; of its specs, what no key covers is named."""
    store = old_store
    for path in (store.root / "store.json", *store.root.glob("*/spec.json"), *store.root.rglob(NAME)):
        unsign(path)
    found = list(verify(store))
    assert {(finding.kind, finding.path.name) for finding in found} == {("unproved", "spec.json")} and len(found) == 5
    assert "the model's name and the provenance are not proved" in found[0].problem
    before = contents(store)
    assert repair(store) == found and contents(store) == before
    assert store.is_committed(make_spec().key, make_item()) and len(list(store.items())) == 5
    assert not write(store, make_spec(), make_item())


@pytest.mark.parametrize("key", ["item", "spec"])
def test_keys_of_an_old_record_are_hashes_of_what_the_group_says(store, key):
    found = written(store)
    record = found.path / NAME
    unsign(record)
    value = json.loads(record.read_text())["attributes"][key]
    change(record, **{key: value[:16] + "0" * 48})  # as its folders have it
    (finding,) = verify(store)
    assert finding.path == found.path


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("changed", [{"timesteps": [50, 262]}, {"taps": ["a", "b"]}, {"store_dtype": "int8"}])
def test_a_spec_is_what_its_key_is_the_hash_of(store, changed, old):
    found = written(store)
    path = found.path.parent.parent / "spec.json"
    value = json.loads(path.read_text())
    change(path, spec={**value["spec"], **changed})
    if old:
        unsign(path)
    (finding,) = verify(store)
    assert finding.path == path
    assert store.specs() == []
    repair(store)
    store.write_spec(make_spec(), {})
    assert list(verify(store)) == [] and len(list(store.items())) == 1


@pytest.mark.parametrize("more", [None, 1e999], ids=["deep", "infinite"])
def test_no_value_in_a_spec_stops_anything(store, more):
    """Whatever stands beside what is known of a spec, its key is asked of all of it."""
    found = written(store)
    path = found.path.parent.parent / "spec.json"
    unsign(path)
    for _ in range(0 if more else 400):
        more = {"a": [more]}
    change(path, spec={**json.loads(path.read_text())["spec"], "more": more})
    (finding,) = verify(store)
    assert finding.path == path and store.specs() == []


@pytest.mark.parametrize("changed", [{"provenance": {"vdprobe": "other"}}, {"key": "0" * 64}, {"more": 1}])
def test_a_spec_proves_the_rest_of_it_too(store, changed):
    found = written(store)
    path = found.path.parent.parent / "spec.json"
    change(path, **changed)
    (finding,) = verify(store)
    assert finding.path == path


@pytest.mark.parametrize("copy", [shutil.copytree, lambda a, b: os.symlink(a, b)])
def test_a_group_in_the_folder_of_another_video_is_not_counted(filled, copy, capsys):
    spec, item = make_spec(), make_item()
    group = filled.get(spec.key, item).path
    before = contents(filled)
    copy(group, group.parents[1] / "dog" / group.name)
    assert [i.item.video for i in filled.items(spec.key)] == ["bear", "dog"]
    ls(str(filled.root), as_json=True)
    said = capsys.readouterr()
    assert {row["items"] for row in json.loads(said.out)} == {1, 2} and "1 more are damaged or in the wrong" in said.err
    (finding,) = repair(filled)
    assert finding.path == group.parents[1] / "dog" / group.name and "video 'bear'" in finding.problem
    assert contents(filled) == before and list(verify(filled)) == []


@pytest.mark.parametrize("depth", [1, 2])
def test_a_link_to_a_folder_costs_no_features(filled, depth):
    """A video under another name, a spec under another key: what is seen through the link is whole where it is."""
    group = filled.get(make_spec().key, make_item()).path
    before = contents(filled)
    link = group.parents[1] / "cat" if depth == 1 else filled.root / "0123456789abcdef"
    link.symlink_to(group.parents[depth - 1], target_is_directory=True)
    assert len(list(filled.items())) == 3
    assert {finding.path for finding in repair(filled)} == {link}
    assert contents(filled) == before and list(verify(filled)) == []


def test_a_copy_of_a_whole_spec_under_another_key(filled):
    folder = filled.root / make_spec().key[:16]
    before = contents(filled)
    shutil.copytree(folder, filled.root / "0123456789abcdef")
    assert len(list(filled.items())) == 3
    repair(filled)
    assert contents(filled) == before


def test_a_folder_that_cannot_be_read_is_said(filled, monkeypatch):
    """And nothing of it is lost: what cannot be read may be whole."""
    group = filled.get(make_spec().key, make_item()).path
    chunk, before = group.parent / "dog", contents(filled)
    scandir = os.scandir

    def refuse(path="."):
        if Path(path) == group.parent:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    (finding,) = verify(filled)
    assert (finding.path, finding.kind) == (group.parent, "unread") and "Permission denied" in finding.problem
    assert repair(filled) == [finding]
    with pytest.raises(StoreError, match=r"cannot read the folder .*bear: Permission denied"):
        list(filled.items())
    monkeypatch.undo()
    assert contents(filled) == before and not chunk.exists()


def test_a_file_that_cannot_be_read_may_be_whole(filled, monkeypatch):
    group = filled.get(make_spec().key, make_item()).path
    chunk, before = group / TAPS[0] / "c/0/0/0/0/0", contents(filled)

    def refuse(path):
        if path == chunk:
            raise OSError(24, "Too many open files")
        return checksum_file(path)

    monkeypatch.setattr("vdprobe.store.check.checksum_file", refuse)
    (finding,) = repair(filled)
    assert (finding.path, finding.kind) == (chunk, "unread") and "Too many open files" in finding.problem
    assert contents(filled) == before


DEEP = 100_000
HOSTILE = {
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep mappings": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "nested enough to stop what comes after": b'{"attributes":' * 500 + b"1" + b"}" * 500,
    "a NUL": b'{"a\0": 1}',
    "a NUL in words": b'{"\\u0000": "\\u0000", "attributes": {"item": "\\u0000"}}',
    "a number of 100,000 digits": b'{"schema": ' + b"9" * DEEP + b"}",
    "no UTF-8": b'{"a": "\xff\xfe"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "nothing": b"",
    "a list": b"[]",
    "a string": b'"a"',
    "a number": b"1",
    "half": b'{"attributes": {"item": "0',
    "not a number": b'{"attributes": NaN, "pid": NaN}',
    "infinite": b'{"attributes": {"item": 1e999}, "pid": 1e999, "schema": 1e999}',
    "half a character": b'{"name": "\\ud800", "host": 1, "attributes": "\\ud800"}',
    "no attributes": b'{"attributes": 5, "zarr_format": 3, "node_type": "group"}',
    "a pipe": None,
}


@pytest.mark.parametrize("name", NAMES, ids=str)
def test_no_content_stops_verify_and_repair(filled, name):
    """Each kind of content in each kind of file; what is beside it stays as it is."""
    path, before = place(filled, name), contents(filled)
    for kind, content in HOSTILE.items():
        path.unlink()
        os.mkfifo(path) if content is None else path.write_bytes(content)
        look = FeatureStore.open(filled.root, mending=True)
        findings = list(verify(look))
        assert findings, kind
        assert all(f.path == path or f.path in path.parents for f in findings), kind
        assert all("\n" not in f.problem for f in findings), kind
        if name.name != "store.json":
            ls(str(filled.root), as_json=False)
        assert repair(look) == findings, kind
        if name.name == "spec.json":
            filled.write_spec(make_spec(), {"vdprobe": "test"})
        mend(filled)
        if name.parts[0] == "claims":
            assert filled.claim("one"), kind
            before[path] = path.read_bytes()
        assert contents(filled) == before, kind
        assert list(verify(filled)) == [], kind


RECORDS = [
    {"files": {"../../../../outside": [0, "00000000"]}},
    {"files": {"a\0b": [0, "00000000"]}},
    {"files": {"\ud800": [0, "00000000"]}},
    {"files": {"zarr.json": [10**400, "00000000"]}},
    {"files": {"zarr.json": [1e308, "00000000"]}},
    {"files": {"zarr.json": [-1, "00000000"]}},
    {"files": {"zarr.json": [True, "00000000"]}},
    {"files": {"zarr.json": []}},
    {"files": []},
    {"item": ["0"]},
    {"checksum": {"a": "b" * 10**6}},
    {"more": 1},
]


@pytest.mark.parametrize("values", RECORDS, ids=lambda v: repr(v)[:40])
@pytest.mark.parametrize("old", [False, True])
def test_no_value_in_a_record_stops_anything(store, values, old):
    found = written(store)
    record = found.path / NAME
    change(record, **values)
    if old:
        unsign(record)
    (finding,) = verify(store)
    assert finding.path == found.path and len(finding.problem) < 200
    assert not store.is_committed(make_spec().key, make_item()) and list(store.items()) == []
    repair(store)
    assert not found.path.exists()


GROUPS = [
    {"item": {"video": "bear", "digest": "cd" * 32, "frames": [10**400, 2, 5], "text": "the bear"}},
    {"item": {"video": ["bear"] * 10**5, "digest": {}, "frames": {"a": 1}, "text": 5}},
    {"item": None},
    {"taps": ["../.."]},
    {"taps": []},
    {"taps": [["a"]]},
    {"timesteps": [1e308]},
    {"spec": "0" * 64},
]


@pytest.mark.parametrize("values", GROUPS, ids=lambda v: repr(v)[:40])
def test_no_value_in_a_group_stops_anything(store, values):
    """Also where its record was made to fit."""
    found = written(store)
    head = found.path / "zarr.json"
    change(head, **values)
    unsign(found.path / NAME)
    record = json.loads((found.path / NAME).read_text())["attributes"]
    files = {**record["files"], "zarr.json": [head.stat().st_size, checksum_file(head)]}
    change(found.path / NAME, files=files)
    (finding,) = verify(store)
    assert finding.path == found.path and len(finding.problem) < 200 and len(finding.item) < 200
    assert list(store.items()) == []


@pytest.mark.parametrize(
    "values", [{"pid": 10**100}, {"pid": -1}, {"pid": 0}, {"host": 5}, {"name": [1]}, {"pid": True}]
)
def test_no_value_in_a_claim_stops_anything(filled, values):
    path = filled.root / "claims" / "one"
    change(path, **values)
    assert not filled.claim("one")
    assert all(f.path == path for f in (*verify(filled), *repair(filled)))


def test_a_head_that_is_damaged_is_written_again_where_specs_prove_a_store(filled):
    head = filled.root / "store.json"
    before = head.read_text()
    for content in (before.replace('"schema": 2', '"schema": 3'), before.replace("vdprobe", "vdprone"), ""):
        head.write_text(content)
        with pytest.raises(StoreUnusableError, match=r"not that of a vdprobe store, or damaged.*vdprobe store repair"):
            FeatureStore.open(filled.root)
        look = FeatureStore.open(filled.root, mending=True)
        assert [f.path for f in verify(look)] == [head]
        repair(look)
        assert head.read_text() == before and list(verify(filled)) == []


def test_a_foreign_head_is_left_alone(tmp_path):
    (tmp_path / "store.json").write_text('{"shop": "books"}')
    (tmp_path / "0123456789abcdef").mkdir()
    (tmp_path / "0123456789abcdef" / "spec.json").write_text("{}")
    with pytest.raises(StoreUnusableError, match="not that of a vdprobe store"):
        FeatureStore.open(tmp_path, mending=True)


def test_half_a_character_in_a_video_is_printed(vdprobe, store):
    spec = make_spec()
    write(store, spec, make_item("\ud800"))
    for more in ((), ("--json",)):
        status, out, _ = vdprobe("store", "show", spec.key, "--store", store.root, *more)
        assert status == 0 and "\\ud800" in out
    next(store.items()).path.joinpath(NAME).write_text("")
    status, _, err = vdprobe("store", "verify", "--store", store.root)
    assert status == 1 and "\\ud800" in err


def test_listing_is_by_name(filled):
    assert [p.name for p in folders.spec_folders(filled.root)] == sorted(p.name for p in filled.root.glob("?" * 16))
