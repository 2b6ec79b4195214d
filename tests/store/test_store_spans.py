"""Maps that stand for several frames: what is stored of them, and the features of frames that they give."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
import zarr
from store_things import make_item, make_spec

from vdprobe.errors import ConfigError, FeatureError, StoreError
from vdprobe.specs.layer import TapPlace
from vdprobe.specs.spans import frame_spans, group_spans
from vdprobe.store.check import verify
from vdprobe.store.export import export_hdf5, export_safetensors

RULES = ("nearest", "linear", "ends")
SPEC = make_spec(taps=("few", "many"), timesteps=(5,))
ITEM = make_item(frames=(0, 2, 4, 6, 8, 10, 12, 14))
SPANS = {"few": group_spans(8, 4), "many": frame_spans(8)}
"""Those of `few` end with frames 0, 4 and 7."""
VALUES = {"few": np.array([0.0, 8.0, 2.0]), "many": np.arange(8.0)}


def write(store, spec=SPEC, spans=SPANS, values=VALUES):
    features = {tap: np.broadcast_to(v[None, :, None, None, None], (1, len(v), 2, 3, 4)) for tap, v in values.items()}
    places = {tap: TapPlace(16, span) for tap, span in spans.items()}
    store.write_spec(spec, {})
    assert store.write(spec, ITEM, {tap: f.astype(np.float16) for tap, f in features.items()}, places=places, attrs={})
    return store.get(spec.key, ITEM)


@pytest.fixture
def found(store):
    return write(store)


def numbers(features):
    assert features.shape[1:] == (2, 3, 4) and (features == features[:, :1, :1, :1]).all()
    return features[:, 0, 0, 0].tolist()


def test_what_is_stored(store, found):
    assert found.spans("few") == SPANS["few"] and found.spans("many") == SPANS["many"]
    assert found.tap_attrs("few")["spans"] == [[0, 1], [1, 5], [5, 8]] and "spans" not in found.tap_attrs("many")
    assert numbers(found.read("few", 5)) == [0, 8, 2] and numbers(found.read("few", 5, slice(1, 3))) == [8, 2]
    assert found.raw("few").shape == (3, 2, 3, 4)
    assert list(verify(store)) == []
    group = zarr.open_group(found.path, mode="r")
    assert group["few"].metadata.dimension_names[:2] == ("timestep", "map_3")
    assert group["many"].metadata.dimension_names[:2] == ("timestep", "frame")
    assert numbers(group["few"][0]) == [0, 8, 2]


def test_known_features_of_frames(found):
    assert numbers(found.read_frames("few", 5)) == [0, 8, 8, 8, 8, 2, 2, 2]
    assert numbers(found.read_frames("few", 5, "linear")) == [0, 2, 4, 6, 8, 6, 4, 2]
    assert numbers(found.read_frames("few", 5, "ends")) == [0, 8, 2]
    assert found.frames_with_features("few", "ends") == (0, 4, 7)
    assert found.frames_with_features("few", "linear") == tuple(range(8))
    assert numbers(found.read_frames("few", 5, "nearest", slice(3, 6))) == [8, 8, 2]
    assert numbers(found.read_frames("few", 5, "linear", slice(3, 6))) == [6, 8, 6]
    assert numbers(found.read_frames("few", 5, "ends", slice(3, 6))) == [8]
    assert numbers(found.read_frames("few", 5, "linear", slice(None, None, -2))) == [2, 6, 6, 2]


def test_a_map_a_frame_is_read_as_it_is_by_every_rule(found):
    for rule in RULES:
        features = found.read_frames("many", 5, rule)
        assert numbers(features) == list(range(8)) and features.dtype == np.float16
        assert found.frames_with_features("many", rule) == tuple(range(8))
        assert not features.flags.owndata  # mapped, and no copy
        assert numbers(found.read_frames("many", 5, rule, slice(2, 4))) == [2, 3]


def test_what_is_not_mixed_keeps_its_type_and_ends_are_mapped(found):
    assert found.read_frames("few", 5, "nearest").dtype == np.float16
    assert found.read_frames("few", 5, "linear").dtype == np.float32
    assert not found.read_frames("few", 5, "ends").flags.owndata


def test_frames_that_are_not_there(found):
    with pytest.raises(ConfigError, match=r"frames 3:9 lie outside the 8 frames"):
        found.read_frames("few", 5, "nearest", slice(3, 9))
    with pytest.raises(ConfigError, match=r"maps 0:8 lie outside the 3 maps"):
        found.read("few", 5, slice(0, 8))
    with pytest.raises(ConfigError, match=r"none of the frames 1:4 of .* by rule 'ends'"):
        found.read_frames("few", 5, "ends", slice(1, 4))


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        (group_spans(9, 4), r"spans .* do not lie side by side over the 8 frames of the clip"),
        (((0, 1), (2, 8)), r"do not lie side by side"),
        (frame_spans(8), r"features have shape \(1, 3, 2, 3, 4\); give \(1 timesteps, 8 maps"),
    ],
)
def test_features_must_fit_their_spans(store, spans, message):
    with pytest.raises(FeatureError, match=message):
        write(store, spans={**SPANS, "few": spans})
    assert list(store.items()) == []


@pytest.mark.parametrize("spans", [None, [[0, 1], [1, 8]], [[0, 1], [1, 5], [5, 9]], [[0, 1], [1, 1], [1, 8]], 5])
def test_spans_of_another_clip_are_damage(found, spans):
    head = found.path / "few" / "zarr.json"
    value = json.loads(head.read_text())
    if spans is None:
        del value["attributes"]["spans"]
    else:
        value["attributes"]["spans"] = spans
    head.write_text(json.dumps(value))
    with pytest.raises(StoreError, match=r"few/zarr.json is damaged"):
        replace(found, verify=False).read("few", 5)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8", "float32"])
def test_every_store_dtype(store, dtype):
    found = write(store, make_spec(taps=("few", "many"), timesteps=(5,), store_dtype=dtype))
    assert numbers(found.read_frames("few", 5, "linear")) == pytest.approx([0, 2, 4, 6, 8, 6, 4, 2], abs=0.04)


def test_exports_say_of_which_frames_a_map_is(store, found, tmp_path):
    export_hdf5(store, SPEC.key, tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        data = file["bear"][found.path.stem]["few"]
        assert json.loads(data.attrs["spans"]) == [[0, 1], [1, 5], [5, 8]] and numbers(data[0]) == [0, 8, 2]
    export_safetensors(store, SPEC.key, tmp_path / "out")
    (file,) = (tmp_path / "out").rglob("*.safetensors")
    header = json.loads(file.read_bytes()[8 : 8 + int.from_bytes(file.read_bytes()[:8], "little")])
    assert json.loads(header["__metadata__"]["taps"])["few"]["spans"] == [[0, 1], [1, 5], [5, 8]]
    assert header["few"]["shape"] == [1, 3, 2, 3, 4]
