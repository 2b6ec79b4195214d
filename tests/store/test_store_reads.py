"""Features are compared with their checksums when a process first reads them."""

import os
import pickle

import numpy as np
import pytest
from store_things import TAPS, make_item, make_spec, write, written

from vdprobe.errors import StoreError
from vdprobe.store import verified
from vdprobe.store.export import export_hdf5, export_safetensors
from vdprobe.store.item import StoredItem
from vdprobe.store.record import NAME
from vdprobe.store.store import FeatureStore


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def read_all(item: StoredItem) -> dict[tuple[str, int], np.ndarray]:
    return {(tap, t): item.read(tap, t) for tap in item.taps for t in item.attrs["timesteps"]}


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16", "int8"])
def test_one_flipped_bit_of_any_file_is_never_read(store, dtype):
    found = written(store, store_dtype=dtype)
    for name in found.files:
        if name.endswith(".scale/zarr.json"):
            continue  # for others than us: our reads do not look at it
        path = found.path / name
        before = path.read_bytes()
        flip(path)
        with pytest.raises(StoreError, match=r"repair.*extract") as caught:
            read_all(store.get(found.spec_key, make_item()))
        assert "\n" not in str(caught.value)
        assert name == "zarr.json" or f"{found.path}/{name} is damaged (checksum differs)" in str(caught.value)
        path.write_bytes(before)
    assert len(read_all(store.get(found.spec_key, make_item()))) == 4


def test_parts_and_raw_bits_are_proved_too(store):
    found = written(store)
    flip(found.path / TAPS[0] / "c/0/0/0/0/0")
    for read in (lambda: found.read(TAPS[0], 50, slice(0, 1)), lambda: found.raw(TAPS[0], 50)):
        with pytest.raises(StoreError, match="checksum differs"):
            read()


def test_without_verify_it_is_read_as_it_is(store):
    found = written(store)
    expected = found.read(TAPS[0], 50).copy()
    flip(found.path / TAPS[0] / "c/0/0/0/0/0")
    trusting = FeatureStore.open(store.root, verify=False)
    for item in (trusting.get(found.spec_key, make_item()), *trusting.items()):
        assert (item.read(TAPS[0], 50) != expected).sum() == 1
    with pytest.raises(StoreError, match="checksum differs"):
        next(FeatureStore.open(store.root).items()).read(TAPS[0], 50)


def test_a_file_is_compared_once(store, monkeypatch):
    """Until it is written to, or another takes its place."""
    found, compared, extend = written(store), [], verified.extend
    monkeypatch.setattr(verified, "extend", lambda crc, bits: compared.append(1) or extend(crc, bits))
    for item in (found, found, pickle.loads(pickle.dumps(found)), next(store.items())):
        item.read(TAPS[0], 50)
    assert len(compared) == 1
    found.read(TAPS[0], 261)
    assert len(compared) == 2
    chunk = found.path / TAPS[0] / "c/0/0/0/0/0"
    os.utime(chunk, ns=(0, 0))
    found.read(TAPS[0], 50)
    assert len(compared) == 3
    chunk.write_bytes(b"\0" * chunk.stat().st_size)
    os.utime(chunk, ns=(1, 1))  # whatever the clock of the file system can tell apart
    with pytest.raises(StoreError, match="checksum differs"):
        found.read(TAPS[0], 50)


def test_what_a_record_says_of_a_file_is_compared_too(store):
    """A file that fitted one record does not fit another."""
    found = written(store)
    found.read(TAPS[0], 50)
    name = f"{TAPS[0]}/c/0/0/0/0/0"
    other = StoredItem(
        found.path, found.item, found.spec_key, found.attrs, found.taps, {**found.files, name: (360, "00000000")}
    )
    with pytest.raises(StoreError, match="checksum differs"):
        other.read(TAPS[0], 50)


@pytest.mark.parametrize("export", [export_hdf5, export_safetensors])
def test_exports_prove_what_they_copy_unless_told_not_to(store, tmp_path, export):
    found = written(store)
    flip(found.path / TAPS[0] / "c/0/0/0/0/0")
    with pytest.raises(StoreError, match="checksum differs"):
        export(store, found.spec_key, tmp_path / "one")
    trusting = FeatureStore.open(store.root, verify=False)
    assert export(trusting, found.spec_key, tmp_path / "one") == 1
    write(store, make_spec(), make_item("dog"))
    (found.path / NAME).write_text("{}")
    with pytest.raises(StoreError, match="is damaged"):  # left out, it would be missed by nobody
        export(trusting, found.spec_key, tmp_path / "two")
