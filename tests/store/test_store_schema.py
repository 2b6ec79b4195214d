"""The layout of schema 2, and stores of schema 1 beside it."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from store_things import TAPS, make_features, make_item, make_spec, write, written
from zarr.storage import LocalStore

from vdprobe.cli.store import ls
from vdprobe.errors import StoreError, StoreUnusableError
from vdprobe.specs.spans import frame_spans
from vdprobe.store import head_file
from vdprobe.store.check import repair, verify
from vdprobe.store.encoding import decode, encode
from vdprobe.store.export import export_hdf5, export_safetensors
from vdprobe.store.store import FeatureStore

DTYPES = ["float16", "float32", "bfloat16", "int8"]
SPECS = [make_spec(store_dtype=dtype) for dtype in DTYPES]
SPECS += [make_spec(taps=("vae.down.2",), timesteps=(), condition=None, noise=None, latents=None)]


def item_of(spec, video="bear"):
    return make_item(video, text="the bear" if spec.uses_text else None)


def schema_of(store):
    return json.loads((store.root / "store.json").read_text())["schema"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_file_is_raw_bits_and_an_index_as_zarr_itself_writes_it(store, tmp_path, dtype):
    spec, item = make_spec(store_dtype=dtype), make_item()
    features = make_features(spec, item)
    write(store, spec, item, features)
    for tap, values in features.items():
        stored = encode(values, dtype).data
        path = store.get(spec.key, item).path / tap
        theirs = zarr.create_array(
            tmp_path / tap,
            data=stored,
            chunks=(1, 1, *stored.shape[2:]),
            shards=(1, *stored.shape[1:]),
            compressors=None,
        )
        assert np.array_equal(theirs[:], stored)
        for t, bits in enumerate(stored):
            content = (path / f"c/{t}/0/0/0/0").read_bytes()
            assert content[: bits.nbytes] == bits.tobytes() and len(content) == bits.nbytes + 16 * 3 + 4
            assert content == (tmp_path / tap / f"c/{t}/0/0/0/0").read_bytes()


class Counting(LocalStore):
    """A folder that counts the bytes read of its files."""

    read = 0

    async def get(self, key, prototype, byte_range=None):
        found = await super().get(key, prototype, byte_range)
        Counting.read += 0 if found is None or key.endswith(".json") else len(found)
        return found


def test_a_reader_of_zarr_fetches_one_frame_of_many(store):
    spec, item = make_spec(), make_item(frames=tuple(range(36)))
    features = make_features(spec, item, size=32)
    write(store, spec, item, features)
    path = store.get(spec.key, item).path
    for tap, values in features.items():
        array = zarr.open_array(Counting(path / tap, read_only=True), mode="r")
        Counting.read = 0
        assert np.array_equal(array[1, 7], values[1, 7])
        whole = (path / tap / "c/1/0/0/0/0").stat().st_size
        assert values[1, 7].nbytes < Counting.read <= whole / 30


@pytest.mark.parametrize("spec", SPECS, ids=[spec.store_dtype + spec.label for spec in SPECS])
def test_a_store_of_schema_1_is_read(old_store, spec):
    item = item_of(spec)
    found = old_store.get(spec.key, item)
    assert found in list(old_store.items(spec.key)) and old_store.is_committed(spec.key, item)
    for tap, values in make_features(spec, item).items():
        stored = encode(values, spec.store_dtype)
        expected = decode(stored.data, spec.store_dtype, stored.scale)
        assert found.spans(tap) == frame_spans(3)
        for t, timestep in enumerate(spec.timesteps or [None]):
            np.testing.assert_array_equal(found.read(tap, timestep), expected[t])
            np.testing.assert_array_equal(found.read_frames(tap, timestep, "linear", slice(1, 3)), expected[t, 1:])
            np.testing.assert_array_equal(found.raw(tap, timestep), stored.data[t])
    assert list(verify(old_store)) == [] and schema_of(old_store) == 1


def test_a_store_of_schema_1_becomes_one_of_2_when_it_is_written_to(old_store, tmp_path):
    """Items of both kinds are in it, and each says what it is."""
    spec = SPECS[0]
    FeatureStore.create(old_store.root)
    old_store.write_spec(spec, {})
    assert schema_of(old_store) == 1
    assert write(old_store, spec, item_of(spec, "dog"))
    assert head_file.check_head(old_store.root) == schema_of(old_store) == 2
    store = FeatureStore.open(old_store.root)
    assert list(verify(store)) == [] and repair(store) == []
    (bear, dog) = sorted(store.items(spec.key), key=lambda found: found.item.video)
    for tap in TAPS:
        sizes = [found.files[f"{tap}/c/0/0/0/0/0"][0] for found in (bear, dog)]
        assert sizes[1] - sizes[0] == 16 * 3 + 4
        np.testing.assert_array_equal(bear.read(tap, 50), dog.read(tap, 50))
    assert export_hdf5(store, spec.key, tmp_path / "out.h5") == 2
    assert export_safetensors(store, spec.key, tmp_path / "out") == 2
    with h5py.File(tmp_path / "out.h5") as file:
        for found in (bear, dog):
            np.testing.assert_array_equal(file[found.item.video][found.path.stem][TAPS[0]][0], bear.raw(TAPS[0], 50))
    content = [path.read_bytes() for path in sorted((tmp_path / "out").rglob("*.safetensors"))]
    assert len(content) == 2 and all(bear.raw(TAPS[0], 50).tobytes() in one for one in content)


def test_a_damaged_item_of_schema_1_is_repaired_and_written_again(old_store):
    spec = SPECS[0]
    chunk = old_store.get(spec.key, item_of(spec)).path / TAPS[0] / "c/0/0/0/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")
    (finding,) = repair(old_store)
    assert finding.path == chunk.parents[6] and not old_store.is_committed(spec.key, item_of(spec))
    assert schema_of(old_store) == 1  # nothing was written
    assert write(old_store, spec, item_of(spec))
    assert list(verify(old_store)) == [] and schema_of(old_store) == 2


@pytest.mark.parametrize("change", [{"codecs": [{"name": "gzip"}]}, {"codecs": []}, {"codecs": 5}])
def test_an_item_says_what_it_is(store, change):
    found = written(store)
    head = found.path / TAPS[0] / "zarr.json"
    head.write_text(json.dumps({**json.loads(head.read_text()), **change}))
    with pytest.raises(StoreError, match=r"damaged|bytes and not"):
        replace(found, verify=False).read(TAPS[0], 50)


def test_a_newer_vdprobe_may_have_taken_over_meanwhile(store):
    write(store, make_spec(), make_item())
    (store.root / "store.json").write_text('{"format": "vdprobe feature store", "schema": 3}')
    with pytest.raises(StoreUnusableError, match=r"newer vdprobe \(schema 3, this one reads 2\)"):
        write(store, make_spec(), make_item("dog"))


def test_timesteps_that_are_not_whole(store, tmp_path, capsys):
    spec = make_spec(timesteps=(0.5, 3, 988.49))
    assert spec.timesteps == (0.5, 3, 988.49)
    item, features = make_item(), make_features(spec, make_item())
    write(store, spec, item, features)
    again = FeatureStore.open(store.root)
    assert again.has_spec(spec) and list(verify(again)) == []
    (found,) = again.items(spec.key)
    for t, timestep in enumerate((0.5, 3.0, 988.49)):
        np.testing.assert_array_equal(found.read(TAPS[0], timestep), features[TAPS[0]][t])
    assert export_hdf5(again, spec.key, tmp_path / "out.h5") == 1
    with h5py.File(tmp_path / "out.h5") as file:
        (group,) = file["bear"].values()
        assert list(group[TAPS[0]].attrs["timesteps"]) == [0.5, 3, 988.49]
    ls(store=again.root)
    assert "988.49" in capsys.readouterr().out
    record = Path(found.path, "zarr.json")
    record.write_text(record.read_text().replace("988.49", "1e999"))
    assert [finding.path for finding in verify(again)] == [found.path]
