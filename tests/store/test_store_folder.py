"""The folder itself: making, opening, refusing, naming, claiming."""

import errno
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_things import make_item, make_spec, write, written

from vdprobe.errors import StoreError, StoreUnusableError
from vdprobe.store.layout import folder_name
from vdprobe.store.location import default_root
from vdprobe.store.store import FeatureStore


def test_create_makes_and_then_opens(tmp_path):
    root = tmp_path / "a" / "b"
    FeatureStore.create(root)
    head = json.loads((root / "store.json").read_text())
    assert (head["format"], head["schema"]) == ("vdprobe feature store", 2)
    assert FeatureStore.create(root) == FeatureStore.open(root)
    assert sorted(p.name for p in root.rglob("*")) == ["store.json", "tmp"]


def test_open_needs_a_store(tmp_path):
    with pytest.raises(StoreError, match=r"no feature store at .*vdprobe extract"):
        FeatureStore.open(tmp_path)


def test_newer_schema(store):
    (store.root / "store.json").write_text('{"format": "vdprobe feature store", "schema": 3}')
    message = r"written by a newer vdprobe \(schema 3, this one reads 2\): upgrade vdprobe"
    for open_it in (FeatureStore.open, FeatureStore.create):
        with pytest.raises(StoreUnusableError, match=message):
            open_it(store.root)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": "zarr", "schema": 1}', '{"format": "vdprobe feature store", "schema": 2}']
)
def test_damaged_head(store, content):
    (store.root / "store.json").write_text(content)
    with pytest.raises(StoreUnusableError, match="not that of a vdprobe store"):
        FeatureStore.create(store.root)


def test_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(StoreUnusableError, match=r"not empty and not a vdprobe store \(it holds 'thesis.tex'\)"):
        FeatureStore.create(tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "store").touch()
    with pytest.raises(StoreUnusableError, match="cannot write to the store"):
        FeatureStore.create(tmp_path / "store")


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_create_tries_to_write(store, monkeypatch, code):
    def refuse(self: Path, data: bytes) -> int:
        raise OSError(code, os.strerror(code), str(self))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(StoreUnusableError, match=rf"{os.strerror(code)}.*--store or VDPROBE_CACHE"):
        FeatureStore.create(store.root)
    with pytest.raises(StoreUnusableError, match=r"spec\.json"):
        store.write_spec(make_spec(), {})
    assert FeatureStore.open(store.root) == store


def test_processes_create_one_store_at_once(tmp_path):
    code = (
        "import sys; from pathlib import Path; from vdprobe.store.store import FeatureStore\n"
        "FeatureStore.create(Path(sys.argv[1]))"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "s")]) for _ in range(6)]
    assert [p.wait() for p in running] == [0] * 6


def test_spec_is_written_once_with_its_first_provenance(store):
    spec = make_spec()
    store.write_spec(spec, {"vdprobe": "1"})
    store.write_spec(spec, {"vdprobe": "2"})
    (found,) = store.specs()
    assert (found.key, found.path.name) == (spec.key, spec.key[:16])
    assert found.provenance == {"vdprobe": "1"}
    assert found.spec["model"]["name"] == "some/model" and found.spec["timesteps"] == [50, 261]
    assert list((store.root / "tmp").iterdir()) == []


def test_a_torn_spec_is_written_again(store):
    spec = make_spec()
    store.write_spec(spec, {})
    path = store.specs()[0].path / "spec.json"
    path.write_bytes(path.read_bytes()[:50])
    assert store.specs() == []
    store.write_spec(spec, {})
    assert [s.key for s in store.specs()] == [spec.key]


def test_resolve_spec_by_prefix(store):
    keys = sorted(make_spec(timesteps=(t,)).key for t in range(40))
    for t in range(40):
        store.write_spec(make_spec(timesteps=(t,)), {})
    assert store.resolve_spec(keys[0]).key == store.resolve_spec(keys[0][:12]).key == keys[0]
    with pytest.raises(StoreError, match="no spec 'xyz'"):
        store.resolve_spec("xyz")
    twice = next(a[0] for a, b in pairwise(keys) if a[0] == b[0])
    with pytest.raises(StoreError, match=f"spec '{twice}' is ambiguous"):
        store.resolve_spec(twice)
    with pytest.raises(StoreError, match="it holds none"):
        FeatureStore.create(store.root.with_name("empty")).resolve_spec("a")


def test_every_difference_is_another_place(store):
    spec, item = make_spec(), make_item()
    write(store, spec, item)
    others = [make_item("bears"), make_item(frames=(0, 2, 6)), make_item(text="a bear"), make_item(text=None)]
    others += [type(item)(video=item.video, digest="ef" * 32, frames=item.frames, text=item.text)]
    assert not any(store.is_committed(spec.key, other) for other in others)
    for other in others:
        assert write(store, spec, other)
    assert len(list(store.items(spec.key))) == 6
    another = make_spec(noise=None)
    assert not store.is_committed(another.key, item)
    assert write(store, another, item)
    assert len(list(store.items())) == 7


@given(st.text())
def test_any_video_id_names_a_folder(video):
    name = folder_name(video)
    assert name not in ("", ".", "..", "spec.json") and "/" not in name and "\0" not in name
    assert len(name.encode()) <= 255


@given(st.text(max_size=20), st.text(max_size=20))
def test_two_video_ids_never_share_a_folder(a, b):
    assert (folder_name(a) == folder_name(b)) == (a == b)


ODD = ["two words", "a/b", "..", "spec.json", "été 🐻", "x" * 3000, "%41", ".hidden", "\ud800"]


@pytest.mark.parametrize("video", ODD)
def test_odd_video_ids(store, video):
    spec, item = make_spec(), make_item(video)
    assert write(store, spec, item)
    assert store.get(spec.key, item).item == item
    assert [i.item for i in store.items()] == [item]
    assert store.get(spec.key, item).path.parent.parent.parent == store.root


def test_text_of_any_script_and_length(store):
    spec = make_spec()
    items = [make_item(text=text) for text in ("", "un ours «là-bas» 🐻‍❄️ \n\0", "très " * 50_000)]
    for item in items:
        assert write(store, spec, item)
    assert {i.item for i in store.items()} == set(items)


def test_absent_item(store):
    spec = make_spec()
    store.write_spec(spec, {})
    with pytest.raises(StoreError, match=r"no features of video 'bear', frames 0\.\.5.*vdprobe extract"):
        store.get(spec.key, make_item())


def test_claims(store):
    assert store.claim("bear/0")
    assert not store.claim("bear/0")
    assert FeatureStore.open(store.root).claim("bear/1")
    store.release("bear/0")
    store.release("bear/0")
    assert store.claim("bear/0")


def test_default_root(monkeypatch, tmp_path):
    monkeypatch.setenv("VDPROBE_CACHE", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.setenv("VDPROBE_CACHE", "~/features")
    assert default_root() == Path.home() / "features"
    monkeypatch.delenv("VDPROBE_CACHE")
    assert default_root().parts[-2:] == ("vdprobe", "features")


def test_resuming_imports_neither_zarr_nor_torch(store):
    found = written(store)
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from store_things import *\n"
        "store = FeatureStore.create(Path(sys.argv[1]))\n"
        "assert store.is_committed(make_spec().key, make_item()) and list(store.items())\n"
        "print([m for m in ('zarr', 'h5py', 'safetensors', 'torch') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(store.root), str(Path(__file__).parent)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
    assert found.path.exists()
