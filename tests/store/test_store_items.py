"""Writing and reading items."""

import errno
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import zarr
from store_things import STRIDES, TAPS, make_features, make_item, make_spec, places_of, write, written

from vdprobe.errors import ConfigError, FeatureError, StoreError, StoreUnusableError
from vdprobe.store import owner, writer
from vdprobe.store.encoding import decode, encode

DTYPES = ["float16", "float32", "bfloat16", "int8"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_written_is_read(store, dtype):
    spec, item = make_spec(store_dtype=dtype), make_item()
    features = make_features(spec, item)
    assert write(store, spec, item, features)
    found = store.get(spec.key, item)
    assert (found.item, found.spec_key, found.taps) == (item, spec.key, TAPS)
    assert found.attrs["sigma"] == 0.5 and found.attrs["label"] == "vd-t/gaussian"
    for tap, values in features.items():
        stored = encode(values, dtype)
        expected = decode(stored.data, dtype, stored.scale)
        for t, timestep in enumerate(spec.timesteps):
            got = found.read(tap, timestep)
            assert got.dtype == (np.float16 if dtype == "float16" else np.float32)
            np.testing.assert_array_equal(got, expected[t])
            np.testing.assert_array_equal(found.read(tap, timestep, slice(1, 3)), expected[t, 1:3])
            np.testing.assert_array_equal(found.raw(tap, timestep), stored.data[t])
        attrs = found.tap_attrs(tap)
        assert {k: attrs[k] for k in stored.stats} == stored.stats
        assert (attrs["tap"], attrs["stride"], attrs["stored_dtype"]) == (tap, STRIDES[tap], dtype)
        assert (attrs["frames"], attrs["timesteps"], attrs["nonfinite"]) == ([0, 2, 5], [50, 261], 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_plain_zarr_opens_it(store, dtype):
    spec, item = make_spec(store_dtype=dtype), make_item()
    features = make_features(spec, item)
    write(store, spec, item, features)
    group = zarr.open_group(store.get(spec.key, item).path, mode="r")
    assert group.attrs["item"]["text"] == "the bear"
    assert set(group.group_keys()) == {"commit"}  # the record is zarr's too: listing warns of nothing
    scales = {f"{tap}.scale" for tap in TAPS} if dtype == "int8" else set()
    assert set(group.array_keys()) == set(TAPS) | scales
    for tap, values in features.items():
        array = group[tap]
        stored = encode(values, dtype)
        channels, height, width = values.shape[2:]
        names = ("timestep", "frame", f"channel_{channels}", f"height_{height}", f"width_{width}")
        assert array.metadata.dimension_names == names
        assert array.chunks == (1, 1, *values.shape[2:]) and array.shards == (1, *values.shape[1:])
        assert array.attrs["stored_dtype"] == dtype
        np.testing.assert_array_equal(array[:], stored.data)
        if dtype == "int8":
            assert group[f"{tap}.scale"].metadata.dimension_names == (names[0], names[2])
            np.testing.assert_array_equal(group[array.attrs["scale"]][:], stored.scale)


def test_a_remote_copy_reads_through_fsspec(store):
    fsspec = pytest.importorskip("fsspec")
    found = written(store)
    remote = fsspec.filesystem("memory")
    remote.put(str(found.path), "/bucket/item.zarr", recursive=True)
    group = zarr.open_group("memory://bucket/item.zarr", mode="r")
    expected = found.read(TAPS[0], found.attrs["timesteps"][0])
    np.testing.assert_array_equal(group[TAPS[0]][0], expected)
    remote.rm(f"/bucket/item.zarr/{TAPS[0]}/c/0/0/0/0/0")
    if tuple(map(int, zarr.__version__.split(".")[:2])) < (3, 2):
        assert np.isnan(group[TAPS[0]][0]).all()  # newer versions can be told to raise


def test_a_dimension_name_has_one_size_in_a_group(store):
    """xarray refuses a group otherwise."""
    sizes: dict[str, set[int]] = {}
    for _, array in zarr.open_group(written(store).path, mode="r").arrays():
        for name, size in zip(array.metadata.dimension_names, array.shape, strict=True):
            sizes.setdefault(name, set()).add(size)
    assert all(len(found) == 1 for found in sizes.values())
    assert len(sizes) > 5  # the taps do differ


@pytest.mark.parametrize("dtype", DTYPES)
def test_metadata_is_what_zarr_itself_writes(store, tmp_path, dtype):
    found = written(store, store_dtype=dtype)
    ours = json.loads((found.path / TAPS[0] / "zarr.json").read_text())
    array = zarr.open_array(found.path / TAPS[0], mode="r")
    zarr.create_array(
        tmp_path / "theirs",
        shape=array.shape,
        chunks=array.chunks,
        shards=array.shards,
        dtype=array.dtype,
        fill_value=array.fill_value,
        compressors=None,
        dimension_names=array.metadata.dimension_names,
        attributes=dict(array.attrs),
    )
    assert ours == json.loads((tmp_path / "theirs" / "zarr.json").read_text())
    assert not np.isfinite(decode(np.array([array.fill_value], array.dtype), dtype)).all() or dtype == "int8"


def test_taps_without_timestep(store):
    spec = make_spec(taps=("vae.down.2",), timesteps=(), condition=None, noise=None, latents=None)
    item = make_item(text=None)
    features = make_features(spec, item)
    write(store, spec, item, features)
    found = store.get(spec.key, item)
    np.testing.assert_array_equal(found.read("vae.down.2"), features["vae.down.2"][0])
    assert found.tap_attrs("vae.down.2")["timesteps"] == [] and found.attrs["label"] == "vae"
    with pytest.raises(ConfigError, match="does not depend on the timestep"):
        found.read("vae.down.2", 261)


def test_unknown_names_are_answered_with_valid_ones(store):
    found = written(store)
    with pytest.raises(ConfigError, match=r"no tap 'unet.up.2'.*did you mean 'unet.up.1'"):
        found.read("unet.up.2", 50)
    for timestep in (None, 0, 51):
        with pytest.raises(ConfigError, match=rf"no timestep {timestep}.*valid: 50, 261"):
            found.read("unet.up.1", timestep)
    for frames in (slice(0, 4), slice(3, 9), slice(-4, None)):
        with pytest.raises(ConfigError, match="outside the 3 maps"):
            found.read("unet.up.1", 50, frames)
    assert found.read("unet.up.1", 50, slice(-2, None)).shape[0] == 2


def test_reads_are_views_that_cannot_change_the_file(store):
    found = written(store)
    first = found.read("unet.up.1", 50)
    before = first.copy()
    assert not first.flags.owndata and first.flags.writeable
    first[:] = 7
    np.testing.assert_array_equal(found.read("unet.up.1", 50), before)


def test_items_travel_between_processes(store):
    found = written(store, store_dtype="int8")
    expected = found.read("unet.up.1", 50)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found)).read("unet.up.1", 50), expected)


def test_strided_features_are_stored_by_value(store):
    spec, item = make_spec(store_dtype="float32"), make_item()
    features = make_features(spec, item)
    odd = {tap: np.asfortranarray(v) for tap, v in features.items()}
    write(store, spec, item, odd)
    for tap, values in features.items():
        np.testing.assert_array_equal(store.get(spec.key, item).read(tap, 261), values[1])


def test_features_must_fit_the_spec(store):
    spec, item = make_spec(), make_item()
    good = make_features(spec, item)
    tap = TAPS[0]
    with pytest.raises(FeatureError, match=r"which the spec does not name.*'unet.up.1'"):
        write(store, spec, item, {**good, "unet.up.3": good[tap]})
    with pytest.raises(FeatureError, match=r"no features for tap 'unet.up.1'"):
        write(store, spec, item, {tap: good[tap]})
    for bad in (good[tap][:1], good[tap][:, :2], good[tap][..., 0], good[tap][:, :, :0]):
        with pytest.raises(FeatureError, match=r"features have shape .* give \(2 timesteps, 3 maps"):
            write(store, spec, item, {**good, tap: bad})
    with pytest.raises(FeatureError, match="no place for tap"):
        store.write(spec, item, good, places={tap: places_of(item)[tap]}, attrs={})
    for attrs in ({"item": 1}, {"logsnr": float("inf")}, {"path": Path()}):
        with pytest.raises(ConfigError, match="attribute"):
            store.write(spec, item, good, places=places_of(item), attrs=attrs)
    with pytest.raises(StoreError, match="write_spec"):
        store.write(make_spec(timesteps=(1, 2)), item, good, places=places_of(item), attrs={})
    assert list(store.items()) == [] and list((store.root / "tmp").iterdir()) == []


@pytest.mark.parametrize("tap", ["up/1", "..", "", "a..b", "__up", "commit", "up.scale", "zarr.json", "up 1"])
def test_taps_that_cannot_name_an_array(store, tap):
    spec, item = make_spec(taps=(tap,)), make_item()
    with pytest.raises(ConfigError, match="cannot name an array"):
        write(store, spec, item)


@pytest.mark.parametrize(("value", "message"), [(np.nan, "tap 'unet.up.1': 1 of"), (1e5, "overflow float16")])
def test_values_that_do_not_fit_leave_nothing(store, value, message):
    spec, item = make_spec(), make_item()
    features = {tap: v.astype(np.float32) for tap, v in make_features(spec, item).items()}
    features["unet.up.1"][1, 2, 0, 0, 0] = value
    with pytest.raises(FeatureError, match=message):
        write(store, spec, item, features)
    assert list(store.items()) == [] and list((store.root / "tmp").iterdir()) == []


def test_the_second_of_two_writers_drops_its_copy(store):
    spec, item = make_spec(), make_item()
    first = make_features(spec, item, seed=1)
    assert write(store, spec, item, first)
    assert not write(store, spec, item, make_features(spec, item, seed=2))
    np.testing.assert_array_equal(store.get(spec.key, item).read(TAPS[0], 50), first[TAPS[0]][0])
    assert list((store.root / "tmp").iterdir()) == []


def truncate(group: Path) -> None:
    os.truncate(group / TAPS[0] / "c/0/0/0/0/0", 10)


def tear_record(group: Path) -> None:
    os.truncate(group / "commit/zarr.json", 30)


def drop_chunk(group: Path) -> None:
    (group / TAPS[1] / "c/1/0/0/0/0").unlink()


def empty(group: Path) -> None:
    group.rename(group.with_suffix(".old"))
    group.mkdir()


def become_a_file(group: Path) -> None:
    group.rename(group.with_suffix(".old"))
    group.touch()


def another_key(group: Path) -> None:
    text = (group / "commit/zarr.json").read_text()
    key = json.loads(text)["attributes"]["item"]
    (group / "commit/zarr.json").write_text(text.replace(key, key[:16] + "0" * 48))


def another_spec(group: Path) -> None:
    text = (group / "commit/zarr.json").read_text()
    (group / "commit/zarr.json").write_text(text.replace(json.loads(text)["attributes"]["spec"], "0" * 64))


@pytest.mark.parametrize("damage", [truncate, tear_record, drop_chunk, empty, become_a_file, another_key, another_spec])
def test_a_damaged_item_is_not_committed_and_is_replaced(store, damage):
    found = written(store)
    spec, item = make_spec(), make_item()
    assert store.is_committed(spec.key, item)
    damage(found.path)
    assert not store.is_committed(spec.key, item)
    assert list(store.items()) == []
    with pytest.raises(StoreError, match=r"damaged.*vdprobe store repair"):
        store.get(spec.key, item)
    assert write(store, spec, item)
    assert store.is_committed(spec.key, item)
    assert list((store.root / "tmp").iterdir()) == []


def test_a_missing_or_short_chunk_is_never_read_as_values(store):
    found = written(store)
    drop_chunk(found.path)
    truncate(found.path)
    with pytest.raises(StoreError, match=r"cannot be read.*vdprobe store repair.*extract video 'bear' again"):
        found.read(TAPS[1], 261)
    with pytest.raises(StoreError, match="has 10 bytes and not"):
        found.read(TAPS[0], 50)
    found.read(TAPS[0], 261)


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"attributes": {"stored_dtype": "f2"}, "shape": [1]}'])
def test_damaged_metadata_of_a_tap(store, content):
    found = written(store)
    path = found.path / TAPS[0] / "zarr.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(StoreError, match=r"damaged.*vdprobe store repair"):
        found.read(TAPS[0], 50)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("nth", [0, 3])
def test_a_disk_that_takes_no_more(store, monkeypatch, code, nth):
    spec, item = make_spec(), make_item()
    write_bits, calls = writer._write_bits, []

    def refuse(path: Path, bits: np.ndarray, index: bytes) -> None:
        calls.append(path)
        if len(calls) > nth:
            raise OSError(code, os.strerror(code), str(path))
        write_bits(path, bits, index)

    monkeypatch.setattr(writer, "_write_bits", refuse)
    with pytest.raises(StoreUnusableError) as caught:
        write(store, spec, item)
    message = str(caught.value)
    assert "\n" not in message and os.strerror(code) in message and str(store.root) in message
    assert "(2,160 bytes needed, " in message and "free)" in message
    assert ("vdprobe store rm" in message) == (code in (errno.ENOSPC, errno.EDQUOT))
    assert list(store.items()) == [] and list((store.root / "tmp").iterdir()) == []
    monkeypatch.undo()
    assert write(store, spec, item)


def test_an_interrupt_leaves_nothing(store, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "write_record", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(store, make_spec(), make_item())
    assert list(store.items()) == [] and list((store.root / "tmp").iterdir()) == []


def test_dead_means_surely_ended():
    assert not owner.is_dead(owner.host(), os.getpid())
    assert owner.is_dead(owner.host(), 2**22 + 1)
    assert not owner.is_dead("elsewhere", 2**22 + 1)
    assert not owner.is_dead(owner.host(), 2**80)
