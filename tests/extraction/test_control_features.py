import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from vdprobe.data.frames import FrameReader
from vdprobe.data.resize import prepare_frames
from vdprobe.errors import ConfigError, ModelError
from vdprobe.extraction.estimate import measure_cost, measure_size
from vdprobe.extraction.plan import make_plan
from vdprobe.models.registry import find_model
from vdprobe.models.vision.vision import find_vision
from vdprobe.specs.canonical import to_plain
from vdprobe.store.shard import index_size

AS_THEY_ARE = {"short_side": None, "long_side": None}
DINO = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
DINO |= {"image_size": 28, "patch_size": 14}


@pytest.fixture
def pixels(configure):
    return lambda **changes: configure(model={"pipeline": "pixels"}, taps=None, **changes)


@pytest.fixture
def dino(configure, vision_folder):
    folder = vision_folder("Dinov2", **DINO)

    def make(kind="vision", dtype="float32", **changes):
        return configure(model={"pipeline": f"{kind}:{folder}", "dtype": dtype}, **{"taps": None, **changes})

    return make


def file_bytes(values):
    """The size of the file of some maps: their values and the index of them."""
    return values.nbytes + index_size(len(values))


def prepared(config, clip):
    with FrameReader(clip.video) as reader:
        return prepare_frames(reader.read(clip.frames), config.resize).pixels


def test_a_flipped_videos_pixels_are_the_mirrored_pixels(pixels, run, tmp_path):
    found = {}
    for flip in (False, True):
        config = pixels(resize={**AS_THEY_ARE, "flip": flip}, store={"path": str(tmp_path / str(flip))})
        store, plan, report = run(config)
        assert report.ok
        (spec,) = plan.specs
        item = store.get(spec.key, plan.clips[0].item(spec, None))
        assert item.attrs["padded_size"] == [64, 96]
        found[flip] = {tap: item.read(tap) for tap in spec.taps}
    assert len(found[True]) == 4
    for tap, value in found[False].items():
        size = int(tap.rpartition(".")[2])
        squares = value.reshape(2, 3, size, size, 64 // size, 96 // size)
        assert np.array_equal(found[True][tap], squares[:, :, :, ::-1, :, ::-1].reshape(value.shape))
        assert not np.array_equal(found[True][tap], value)


def test_one_spec_that_no_option_of_the_grid_touches(pixels, dino):
    for make in (pixels, dino):
        (spec,) = make_plan(make()).specs
        assert (spec.condition, spec.noise, spec.latents, spec.timesteps) == (None, None, None, ())
        other = make(conditions=["vd-it"], noises=["predicted"], timesteps=[7], seed=4, latents="mode")
        assert [s.key for s in make_plan(other).specs] == [spec.key]
        assert make_plan(make(resize={"short_side": 32})).specs[0].key != spec.key
        assert make_plan(make()).levels == ()
        assert len(make_plan(make()).clips[0].items(spec)) == 1


def test_videos_need_no_texts(pixels, run):
    _, plan, report = run(pixels(videos={"expressions": None}))
    assert report.ok
    assert report.written == len(plan.clips) == 4
    assert report.forwards == 0


def test_a_vision_models_grid_is_that_of_a_direct_call(dino, run, contents):
    config = dino(taps=["vision.layer.0", "vision.layer.2"], store={"dtype": "float32"})
    store, plan, report = run(config)
    assert report.ok
    (spec,) = plan.specs
    assert spec.label == "vision"
    model = find_vision(plan.model.name)
    maps = model.maps(spec.taps, "float32", "cpu")
    for clip in plan.clips:
        item = store.get(spec.key, clip.item(spec, None))
        with torch.inference_mode():
            expected = maps(prepared(config, clip))
        for tap in spec.taps:
            assert item.read(tap).shape == (2, 16, 5, 7)  # 64 x 96 pixels are padded to 70 x 98
            assert np.array_equal(item.read(tap), expected[tap].numpy())
            assert item.tap_attrs(tap)["stride"] == 14
        assert item.attrs["padded_size"] == [64, 96]
        assert item.attrs["model_frame_size"] == [70, 98]
    assert run(config)[2].written == 0


def test_the_last_layer_is_the_default_and_dtypes_are_other_specs(dino, run, tmp_path):
    values = {}
    for dtype in ("float32", "bfloat16"):
        store, plan, report = run(dino(dtype=dtype, store={"path": str(tmp_path / dtype), "dtype": "float32"}))
        assert report.ok
        (spec,) = plan.specs
        assert spec.taps == ("vision.layer.2",)
        values[spec.key] = store.get(spec.key, plan.clips[0].item(spec, None)).read("vision.layer.2")
    exact, half = values.values()
    assert 0 < np.abs(exact - half).std() / exact.std() < 0.1


def test_random_vision_is_another_model_of_the_same_shape(dino, run, tmp_path):
    found = []
    for kind in ("vision", "random-vision"):
        store, plan, report = run(dino(kind=kind, store={"path": str(tmp_path / kind)}))
        assert report.ok
        (spec,) = plan.specs
        found.append((spec.key, store.get(spec.key, plan.clips[0].item(spec, None)).read("vision.layer.2")))
    assert found[0][0] != found[1][0]
    assert found[0][1].shape == found[1][1].shape
    assert not np.array_equal(found[0][1], found[1][1])


def test_a_model_of_one_size_is_noted(configure, run, vision_folder):
    levit = {"image_size": 64, "hidden_sizes": [16, 32, 64], "num_attention_heads": [1, 1, 1], "depths": [1, 1, 1]}
    name = f"vision:{vision_folder('Levit', **levit, key_dim=[8, 8, 8])}"
    store, plan, report = run(configure(model={"pipeline": name}, taps=None))
    assert report.ok
    ((fact, places),) = report.notes.items()
    assert "takes frames of 64x64 pixels alone" in fact
    assert places == [name]
    item = store.get(plan.specs[0].key, plan.clips[0].item(plan.specs[0], None))
    assert item.tap_attrs("vision.layer.0")["stride"] == 24
    assert item.attrs["model_frame_size"] == [64, 64]


def test_estimates_are_exact_in_bytes_and_measured_in_time(pixels, dino, run, tmp_path):
    for make in (pixels, dino):
        config = make()
        plan = make_plan(config)
        size = measure_size(plan, None)
        store, _, _ = run(config)
        items = list(store.items(plan.specs[0].key))
        stored = {tap: sum(file_bytes(item.raw(tap)) for item in items) for tap in plan.taps}
        assert size.tap_bytes == stored
        assert (size.items, size.forwards_left, size.failures) == (4, 0, ())
        cost = measure_cost(plan, size, tmp_path)
        assert cost.stages["encode"] > 0
        assert cost.stages["forward"] == 0
        assert cost.compute_pass > 0


def test_the_latents_are_the_posteriors_mean_and_the_vaes(configure, run, tmp_path):
    config = configure(taps=["vae.latents", "vae.down.2", "unet.in"], store={"dtype": "float32"})
    store, plan, report = run(config)
    assert report.ok
    vae, _ = plan.specs
    assert vae.taps == ("vae.down.2", "vae.latents")
    item = store.get(vae.key, plan.clips[0].item(vae, None))
    assert item.read("vae.latents").shape == (2, 4, 8, 12)
    assert item.tap_attrs("vae.latents")["stride"] == 8
    from vdprobe.models.diffusion.frame_vae import VideoEncoder

    encoder = VideoEncoder.load(plan.pipeline, (), torch.float32, torch.device("cpu"))
    with torch.inference_mode():
        mean = encoder(torch.from_numpy(prepared(config, plan.clips[0])), posterior=True).mean
    assert np.abs(item.read("vae.latents") - 0.18215 * mean.numpy()).max() < 1e-6
    # nothing that is drawn, and no UNet beside it, changes them
    alone = configure(
        taps=["vae.latents"], seed=9, latents="mode", store={"path": str(tmp_path / "b"), "dtype": "float32"}
    )
    other, single, _ = run(alone)
    (spec,) = single.specs
    again = other.get(spec.key, single.clips[0].item(spec, None)).read("vae.latents")
    assert np.array_equal(again, item.read("vae.latents"))
    assert measure_size(single, None).bytes == 4 * (4 * 2 * 4 * 8 * 12 + index_size(2))


def test_naming_pixels_needs_no_torch(pixels, run):
    config = pixels()
    run(config)
    code = f"""
import sys, json
from pathlib import Path
from vdprobe.extraction.config import parse_config
from vdprobe.extraction.plan import make_plan
from vdprobe.extraction.run import extract
from vdprobe.store.store import FeatureStore
values = json.loads({json.dumps(json.dumps(to_plain(config)))})
report = extract(make_plan(parse_config(values)), FeatureStore.create(Path(values["store"]["path"])))
assert report.already == report.items > 0
assert not {{"torch", "transformers", "diffusers", "zarr"}} & set(sys.modules), "heavy imports"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_taps_and_models_name_valid_ones(configure, dino):
    with pytest.raises(ConfigError, match=r"'pixels' has no tap 'unet.down.0': valid: pixels.4, pixels.8, pixels.16"):
        make_plan(configure(model={"pipeline": "pixels"}))
    with pytest.raises(ConfigError, match=r"has no tap 'vision.layer.3': did you mean .*valid: vision.layer.0, vision"):
        make_plan(dino(taps=["vision.layer.3"]))
    with pytest.raises(
        ModelError, match=r"no model 'pixel': .* tiny-t2v or pixels or vision:ID_OR_FOLDER or random-vi"
    ):
        find_model("pixel")


def test_a_control_has_no_pipeline(pixels):
    plan = make_plan(pixels())
    with pytest.raises(ModelError, match="model 'pixels' is a control and no diffusion pipeline"):
        _ = plan.pipeline
