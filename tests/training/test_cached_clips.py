import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from vdprobe.errors import ConfigError, DataError, StoreError
from vdprobe.extraction.config import parse_config
from vdprobe.extraction.plan import make_plan
from vdprobe.specs.layer import TapPlace
from vdprobe.specs.load import merge
from vdprobe.specs.spans import frame_spans
from vdprobe.store.store import FeatureStore
from vdprobe.training.cached_clips import CachedClips, Sizes, pipeline_of, require_items

STRIDES = {
    "vae.down.2": 4,
    "unet.in": 8,
    "unet.up.2": 8,
    "unet.down.0": 16,
    "unet.up.1": 16,
    "unet.down.1": 32,
    "unet.up.0": 32,
}
CHANNELS = {tap: channels for channels, tap in enumerate(STRIDES, 2)}
ATTRS = {"source_size": [24, 40], "frame_size": [29, 48], "padded_size": [32, 48]}


@pytest.fixture
def plan_of(shapes, tmp_path):
    def make(**changes):
        values = {
            "model": {"pipeline": "random:tiny", "device": "cpu"},
            "videos": {"path": str(shapes), "split": "train", "texts_per_object": 1},
            "clips": {"frames": 2},
            "timesteps": [0, 20],
            "store": {"path": str(tmp_path / "store")},
        }
        return make_plan(parse_config(merge(values, changes)))

    return make


def values_of(spec, item, strides=STRIDES):
    """Features that are another number for each (tap, timestep, text, frame, channel)."""
    text = len(item.text or "")
    out = {}
    for tap in spec.taps:
        t, frame, channel = np.ogrid[: max(len(spec.timesteps), 1), : len(item.frames), : CHANNELS.get(tap, 1)]
        number = 100 * t + 10 * frame + channel + STRIDES[tap] / 64 + text
        height, width = (-(-side // strides[tap]) for side in ATTRS["padded_size"])
        out[tap] = np.broadcast_to(number[..., None, None], (*number.shape, height, width)).astype(np.float16)
    return out


@pytest.fixture
def fill(tmp_path):
    """A store with made features of every item of a plan."""

    def go(plan, strides=STRIDES):
        store = FeatureStore.create(tmp_path / "store")
        for spec in plan.specs:
            store.write_spec(spec, {})
            for clip in plan.clips:
                for item in clip.items(spec):
                    values = values_of(spec, item, strides)
                    places = {tap: TapPlace(strides[tap], frame_spans(len(item.frames))) for tap in spec.taps}
                    store.write(spec, item, values, places=places, attrs=ATTRS)
        return store

    return go


def test_levels_are_taps_side_by_side_from_the_spec_that_holds_them(plan_of, fill):
    plan = plan_of()
    cached = CachedClips.of(plan, fill(plan), timestep=20)
    assert len(cached.specs) == 2
    clip = cached.clips[0]
    text = clip.texts[-1]
    levels = cached.levels(clip, text)
    assert [tuple(level.shape) for level in levels] == [(2, 2, 8, 12), (2, 7, 4, 6), (2, 11, 2, 3), (2, 15, 1, 2)]
    assert all(level.dtype == torch.float32 for level in levels)
    expected = {}
    for spec in plan.specs:
        expected |= values_of(spec, clip.item(spec, text))
    for level, taps in zip(levels, cached.names, strict=True):
        at = [expected[tap][1 if tap.startswith("unet") else 0] for tap in taps]
        assert np.array_equal(level.numpy(), np.concatenate(at, axis=1).astype(np.float32))
    assert cached.widths() == (2, 7, 11, 15)
    assert cached.sizes(clip, text) == Sizes((24, 40), (29, 48), (32, 48))


def test_frames_are_cut_out_before_they_are_read(plan_of, fill):
    plan = plan_of()
    cached = CachedClips.of(plan, fill(plan), timestep="t=0")
    clip = cached.clips[0]
    whole, part = (cached.levels(clip, clip.texts[0], frames) for frames in (None, slice(1, 2)))
    assert all(torch.equal(a[1:], b) for a, b in zip(whole, part, strict=True))
    with pytest.raises(ConfigError, match="frames 1:5 lie outside the 2 frames"):
        cached.levels(clip, clip.texts[0], slice(1, 5))


def test_a_condition_without_text_needs_none(plan_of, fill):
    plan = plan_of(conditions=["vd-i"], model={"adapter": "random:0"}, timesteps=[0])
    cached = CachedClips.of(plan, fill(plan))
    assert len(cached.items()) == 2 * len(cached.clips)
    assert len(cached.levels(cached.clips[0])) == 4


def test_a_control_has_taps_of_its_own(plan_of):
    plan = plan_of(model={"pipeline": "pixels"})
    store = FeatureStore(Path(plan.config.store.path))
    levels = (("pixels.4",), ("pixels.8",), ("pixels.16",), ("pixels.32",))
    cached = CachedClips.of(plan, store, levels=levels, timestep=999)
    assert (cached.timestep, pipeline_of(plan), len(cached.specs)) == (None, None, 1)
    assert pipeline_of(plan_of()) is not None
    with pytest.raises(ConfigError, match=r"the levels need tap 'pixel\.4', .*: did you mean 'pixels\.4'"):
        CachedClips.of(plan, store, levels=(("pixel.4",), *levels[1:]))
    with pytest.raises(ConfigError, match=r"the levels need tap 'vae\.down\.2', which the extraction does not have"):
        CachedClips.of(plan, store)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, {}, "the extraction has timesteps 0, 20; name the one to read with timestep"),
        ({}, {"timestep": 3}, r"timestep \(=3\) is 3, which the extraction does not have; valid: 0, 20"),
        ({}, {"timestep": 2000}, r"valid: 0\.\.999"),
        ({"noises": ["gaussian", "none"]}, {"timestep": 0}, r"in 2 specs .*\(vd-t/gaussian, vd-t/none\).* one noise"),
        ({"taps": ["unet.in"]}, {"timestep": 0}, r"the levels need tap 'vae\.down\.2'.*valid: unet\.in"),
        ({}, {"levels": (("unet.in",),), "timestep": 0}, r"levels are 4 lists of taps, at strides \(4, 8, 16, 32\)"),
        ({}, {"levels": (("unet.in",), (), (), ()), "timestep": 0}, "levels are 4 lists of taps"),
    ],
)
def test_levels_that_leave_a_choice_or_are_not_there(plan_of, changes, options, message):
    plan = plan_of(**changes)
    with pytest.raises(ConfigError, match=message):
        CachedClips.of(plan, FeatureStore(Path(plan.config.store.path)), **options)


def test_a_text_that_the_video_does_not_have(plan_of, fill):
    plan = plan_of(timesteps=[0])
    cached = CachedClips.of(plan, fill(plan))
    clip = cached.clips[0]
    with pytest.raises(DataError, match=rf"video '{clip.video.id}' has no expression 'nothing':"):
        cached.levels(clip, "nothing")


def test_a_tap_at_another_stride_or_size(plan_of, fill):
    plan = plan_of(timesteps=[0])
    store = fill(plan, STRIDES | {"unet.down.1": 16})
    cached = CachedClips.of(plan, store)
    with pytest.raises(ConfigError, match=r"tap 'unet\.down\.1' has stride 16 and is in the level at stride 32"):
        cached.widths()
    with pytest.raises(ConfigError, match=r"taps unet\.down\.1, unet\.up\.0 differ in size"):
        cached.levels(cached.clips[0], cached.clips[0].texts[0])


def test_what_is_missing_is_counted_over_all(plan_of, fill):
    plan = plan_of(timesteps=[0])
    store = fill(plan)
    cached = CachedClips.of(plan, store)
    require_items([cached, cached], "make it")
    shutil.rmtree(next(store.root.glob("*/train-00001/*.zarr")))
    count = len(cached.items())
    with pytest.raises(StoreError, match=rf"^1 of {count} items .* \(videos train-00001\): make it$"):
        require_items([cached], "make it")
    with pytest.raises(StoreError, match=rf"^2 of {2 * count} items"):
        require_items([cached, cached], "make it")
