"""Commands that read features find one flipped bit, in one line, and leave the search out with `--no-verify`."""

import json

import pytest
import yaml

from vdprobe.data.moving_shapes.write import write_moving_shapes
from vdprobe.store.store import FeatureStore

LEVELS = "levels=[[pixels.4], [pixels.8], [pixels.16], [pixels.32]]"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shapes"
    write_moving_shapes(folder, {"train": 2, "test": 2}, frames=3, side=64)
    return folder


def flip_all(root):
    """One bit of each chunk; gives how many there were."""
    chunks = [path for path in root.rglob("c/*/*/*/*/*") if path.is_file()]
    for path in chunks:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    return len(chunks)


def is_told(err, store):
    """In one line that names a file and what to do."""
    (line,) = (line for line in err.splitlines() if "checksum differs" in line)
    return str(store) in line and "run `vdprobe store repair` and extract video" in line and "Traceback" not in err


def test_analyze(vdprobe, shapes, tmp_path):
    command = [
        *("analyze", "propagation", "--model", "pixels", "--videos", shapes, "--split", "test", "--tap", "pixels.8"),
        *("--set", "features.clips.frames=3", "--set", "features.resize.short_side=64", "--set", "shown.videos=0"),
        *("--store", tmp_path / "store", "--workers", 1),
    ]
    assert vdprobe(*command, "--out", tmp_path / "sound")[0] == 0
    assert flip_all(tmp_path / "store") == 2
    status, _, err = vdprobe(*command, "--out", tmp_path / "spoilt")
    assert status == 1 and is_told(err, tmp_path / "store")
    assert vdprobe(*command, "--out", tmp_path / "spoilt", "--no-verify")[0] == 0
    asked = json.loads((tmp_path / "spoilt" / "analysis.json").read_text())["config"]["features"]["store"]
    assert asked.keys() == {"path", "dtype"}  # how features are read is no part of the result
    status, _, err = vdprobe(*command, "--out", tmp_path / "option", "--set", "features.store.verify=false")
    assert status == 0, err


def test_train_head(vdprobe, shapes, tmp_path):
    spec = tmp_path / "train.yaml"
    values = {
        "features": {
            "model": {"pipeline": "pixels", "device": "cpu"},
            "videos": {"path": str(shapes), "split": "train", "texts_per_object": 1},
            "resize": {"short_side": 32, "long_side": None},
            "store": {"path": str(tmp_path / "store")},
        },
        "head": {"neck_hidden": [8] * 4, "neck_widths": [8] * 4, "width": 32, "heads": 4}
        | {"encoder_layers": 1, "decoder_layers": 1, "feedforward": 16},
        "steps": 1,
        "frames": 2,
        "workers": 0,
        "words": "pipeline:random:tiny",
    }
    spec.write_text(yaml.safe_dump(values))
    command = ("train-head", spec, "--set", LEVELS)
    assert vdprobe(*command, "--extract", "--out", tmp_path / "sound")[0] == 0
    assert flip_all(tmp_path / "store") > 0
    status, _, err = vdprobe(*command, "--extract", "--out", tmp_path / "spoilt")
    assert status == 1 and is_told(err, tmp_path / "store")
    status, _, err = vdprobe(*command, "--out", tmp_path / "spoilt", "--no-verify")
    assert status == 0, err  # it is the same training
    record = json.loads((tmp_path / "spoilt" / "training.json").read_text())
    assert record["config"]["features"]["store"].keys() == {"path", "dtype"}


def test_export(vdprobe, shapes, tmp_path):
    store = tmp_path / "store"
    extract = ("extract", "--model", "pixels", "--videos", shapes, "--set", "videos.split=test", "--store", store)
    assert vdprobe(*extract)[0] == 0
    (spec,) = FeatureStore.open(store).specs()
    assert flip_all(store) > 0
    status, _, err = vdprobe("store", "export", spec.key, tmp_path / "out.h5", "--store", store)
    assert status == 1 and "checksum differs" in err
    assert vdprobe("store", "export", spec.key, tmp_path / "out.h5", "--store", store, "--no-verify")[0] == 0
    assert vdprobe("store", "repair", "--store", store)[0] == 0
    assert vdprobe(*extract)[0] == 0
    assert vdprobe("store", "export", spec.key, tmp_path / "again.h5", "--store", store)[0] == 0


def test_extract_that_does_not_wait_for_the_disk(vdprobe, shapes, tmp_path):
    extract = ("extract", "--model", "pixels", "--videos", shapes, "--set", "videos.split=test", "--json")
    keys = [
        json.loads(vdprobe(*extract, "--store", tmp_path / name, *more)[1])["specs"]
        for name, more in (("a", ()), ("b", ("--set", "store.durable=false", "--set", "store.verify=false")))
    ]
    assert keys[0] == keys[1]
