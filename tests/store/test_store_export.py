import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from safetensors import deserialize, safe_open
from store_things import TAPS, make_features, make_item, make_spec, write, written

from vdprobe.errors import StoreError
from vdprobe.store.encoding import decode, encode
from vdprobe.store.export import export_hdf5, export_safetensors

DTYPES = ["float16", "float32", "bfloat16", "int8"]
ITEMS = [make_item("bear"), make_item("a/b 🐻", text="long " * 30_000)]


def fill(store, dtype):
    spec = make_spec(store_dtype=dtype)
    features = [make_features(spec, item, seed=n) for n, item in enumerate(ITEMS)]
    for item, values in zip(ITEMS, features, strict=True):
        write(store, spec, item, values)
    return spec, features


@pytest.mark.parametrize("dtype", DTYPES)
def test_hdf5(store, tmp_path, dtype):
    spec, features = fill(store, dtype)
    assert export_hdf5(store, spec.key[:9], tmp_path / "out.h5") == 2
    with h5py.File(tmp_path / "out.h5") as file:
        assert file.attrs["key"] == spec.key and json.loads(file.attrs["spec"])["timesteps"] == [50, 261]
        for item, values in zip(ITEMS, features, strict=True):
            path = store.get(spec.key, item).path
            group = file[f"{path.parent.name}/{path.stem}"]
            assert json.loads(group.attrs["item"])["text"] == item.text
            assert group.attrs["sigma"] == 0.5 and json.loads(group.attrs["taps"]) == list(TAPS)
            for tap in TAPS:
                data = group[tap]
                scale = group[data.attrs["scale"]][:] if dtype == "int8" else None
                stored = encode(values[tap], dtype)
                assert data.attrs["stored_dtype"] == dtype and list(data.attrs["timesteps"]) == [50, 261]
                np.testing.assert_array_equal(decode(data[:], dtype, scale), decode(stored.data, dtype, stored.scale))
    assert sorted(os.listdir(tmp_path)) == ["out.h5", "store"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_safetensors(store, tmp_path, dtype):
    spec, features = fill(store, dtype)
    assert export_safetensors(store, spec.key, tmp_path / "out") == 2
    assert json.loads((tmp_path / "out" / "spec.json").read_text())["key"] == spec.key
    names = {"float16": "F16", "float32": "F32", "bfloat16": "BF16", "int8": "I8"}
    for item, values in zip(ITEMS, features, strict=True):
        path = store.get(spec.key, item).path
        file = tmp_path / "out" / path.parent.name / f"{path.stem}.safetensors"
        with safe_open(file, "np") as opened:
            metadata = opened.metadata()
            assert set(opened.keys()) == set(TAPS) | ({f"{t}.scale" for t in TAPS} if dtype == "int8" else set())
        assert json.loads(metadata["item"])["item"]["text"] == item.text
        assert json.loads(metadata["taps"])[TAPS[0]]["stride"] == 8
        tensors = dict(deserialize(file.read_bytes()))
        for tap in TAPS:
            stored = encode(values[tap], dtype)
            assert tensors[tap]["dtype"] == names[dtype] and tuple(tensors[tap]["shape"]) == stored.data.shape
            assert bytes(tensors[tap]["data"]) == stored.data.tobytes()
            if stored.scale is not None:
                assert bytes(tensors[f"{tap}.scale"]["data"]) == stored.scale.tobytes()


@pytest.mark.parametrize("export", [export_hdf5, export_safetensors])
def test_export_refuses(store, tmp_path, export):
    target = tmp_path / "out"
    store.write_spec(make_spec(timesteps=(1,)), {})
    with pytest.raises(StoreError, match=r"has no items.*vdprobe extract"):
        export(store, make_spec(timesteps=(1,)).key, target)
    found = written(store)
    target.write_text("mine")
    with pytest.raises(StoreError, match="there already"):
        export(store, found.spec_key, target)
    assert target.read_text() == "mine"
    with pytest.raises(StoreError, match="is no folder"):
        export(store, found.spec_key, tmp_path / "no" / "out")
    chunk = found.path / TAPS[0] / "c/0/0/0/0/0"
    chunk.write_bytes(b"\0" * chunk.stat().st_size)
    with pytest.raises(StoreError, match=r"checksum differs.*vdprobe store repair"):
        export(store, found.spec_key, tmp_path / "new")
    assert sorted(os.listdir(tmp_path)) == ["out", "store"]


@pytest.mark.parametrize("export", [export_hdf5, export_safetensors])
def test_a_failed_export_leaves_nothing(store, tmp_path, monkeypatch, export):
    found = written(store)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vdprobe.store.export.os.rename", refuse)
    with pytest.raises(StoreError, match="No space left"):
        export(store, found.spec_key, tmp_path / "out")
    assert os.listdir(tmp_path) == ["store"]


FULL = """
import resource, signal, sys
from pathlib import Path
from vdprobe.errors import StoreError
from vdprobe.store.export import export_hdf5
from vdprobe.store.store import FeatureStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    export_hdf5(FeatureStore.open(sys.argv[1]), sys.argv[2], Path(sys.argv[1]).with_name("a.h5"))
except StoreError as error:
    print(error)
"""


@pytest.mark.parametrize("most", [1, 100, 1000, 3000, 6000])
def test_a_file_that_the_disk_does_not_take_is_an_error_and_no_crash(store, most):
    """Of HDF5 itself the process dies when it ends: it writes again what it could not write before."""
    found = written(store)
    command = [sys.executable, "-c", FULL, str(store.root), found.spec_key, str(most)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    place = store.root.with_name("a.h5")
    assert ended.stdout == f"cannot export to {place}: [Errno 27] File too large; choose another place\n"
    assert [path.name for path in store.root.parent.iterdir()] == ["store"]
    export_hdf5(store, found.spec_key, place)
    assert place.stat().st_size > 6000
