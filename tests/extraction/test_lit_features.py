import numpy as np

from vdprobe.data.frames import FrameReader
from vdprobe.data.lighting import apply_lighting
from vdprobe.data.resize import prepare_frames
from vdprobe.extraction.plan import make_plan
from vdprobe.models.pixels.pixels import Pixels
from vdprobe.specs.lighting import Lighting

PIXELS = {"model": {"pipeline": "pixels"}, "taps": ["pixels.8"], "store": {"dtype": "float32"}}
AS_THEY_ARE = {"resize": {"short_side": None, "long_side": None}}


def test_no_strength_is_no_lighting(configure, run, contents, tmp_path):
    none, zero = (
        configure(lighting=lighting, store={"path": str(tmp_path / str(i))})
        for i, lighting in enumerate((None, {"kind": "gamma", "strength": 0, "seed": 3}))
    )
    assert zero.lighting is None
    plain, plan, _ = run(none)
    still, other, report = run(zero)
    assert [spec.key for spec in plan.specs] == [spec.key for spec in other.specs]
    assert contents(plain) == contents(still)
    assert report.notes == {}
    attrs = next(still.items()).attrs
    assert "values_cut_by_lighting" not in attrs


def test_every_spec_has_the_lighting_and_every_item_the_videos_own_hash(configure):
    plain, lit = make_plan(configure()), make_plan(configure(lighting={"strength": 0.5}))
    assert {spec.lighting for spec in lit.specs} == {Lighting(strength=0.5)}
    assert {spec.key for spec in plain.specs}.isdisjoint(spec.key for spec in lit.specs)
    assert [clip.digest for clip in plain.clips] == [clip.digest for clip in lit.clips]


def test_frames_are_lit_before_they_are_resized_and_cut_values_are_told(configure, run):
    lighting = Lighting(strength=1.0, seed=1)
    config = configure(**PIXELS, **AS_THEY_ARE, lighting={"strength": 1.0, "seed": 1}, clips={"frames": 4})
    store, plan, report = run(config)
    assert report.ok
    (spec,) = plan.specs
    cut = 0
    for clip in plan.clips:
        item = store.get(spec.key, clip.item(spec, None))
        with FrameReader(clip.video) as reader:
            lit = apply_lighting(reader.read(clip.frames), lighting, clip.video.id, clip.frames)
        seen = item.read("pixels.8").reshape(4, 3, 8, 8, 8, 12).transpose(0, 4, 2, 5, 3, 1).reshape(4, 64, 96, 3)
        assert np.abs((seen + 1) * 127.5 - lit.frames).max() < 1e-3
        assert item.attrs["values_cut_by_lighting"] == lit.clipped.tolist()
        cut += bool(lit.clipped.any())
        share = f"{lit.clipped.sum() / lit.frames.size:.2%} of its values"
        places = report.notes.get("the change of light takes values past 0 or 255, where they are cut", [])
        assert (f"{clip.name}: {share}" in places) == lit.clipped.any()
    assert cut > 0


def test_light_comes_before_the_resize(configure, run):
    """Where it cuts values, the other order would give others."""
    size = {"resize": {"short_side": 48, "long_side": None}}
    config = configure(**PIXELS, **size, lighting={"strength": 1.0, "seed": 1}, clips={"frames": 4})
    store, plan, _ = run(config)
    (spec,) = plan.specs
    clip = plan.clips[0]
    with FrameReader(clip.video) as reader:
        lit = apply_lighting(reader.read(clip.frames), config.lighting, clip.video.id, clip.frames)
    maps = Pixels().maps(["pixels.8"], "float32", "cpu")
    expected = maps(prepare_frames(lit.frames, config.resize).pixels)["pixels.8"]
    assert np.array_equal(store.get(spec.key, clip.item(spec, None)).read("pixels.8"), expected.numpy())
