"""Clips around the frames in which expressions are annotated, as A2D and JHMDB are evaluated."""

import numpy as np
import pytest

from vdprobe.data.frames import FrameReader
from vdprobe.extraction.config import parse_config
from vdprobe.extraction.plan import make_plan
from vdprobe.extraction.run import extract
from vdprobe.specs.load import merge
from vdprobe.store.store import FeatureStore


@pytest.fixture
def plan_of(tmp_path):
    """The plan of a dataset in a layout, in centred clips."""

    def make(path, layout, split, **changes):
        values = {
            "model": {"pipeline": "random:tiny", "device": "cpu"},
            "videos": {"path": str(path), "layout": layout, "split": split},
            "clips": {"kind": "centred"},
            "resize": {"short_side": 32, "long_side": None},
            "taps": ["vae.latents", "unet.down.0", "pixels.8"][:2],
            "noises": ["gaussian"],
            "store": {"path": str(tmp_path / "store"), "dtype": "float32"},
        }
        return make_plan(parse_config(merge(values, changes)))

    return make


def test_a_clip_for_each_annotated_frame_with_its_texts_alone(plan_of, published, tmp_path):
    plan = plan_of(published.write_a2d(tmp_path / "a2d"), "a2d", "train")
    assert [(clip.frames, clip.centre) for clip in plan.clips] == [((0, 0, 1, 2, 3), 1), ((2, 3, 4, 5, 5), 4)]
    assert [clip.texts for clip in plan.clips] == [("a Ball rolling", "a cat jumping"), ("a cat jumping",)]
    assert plan.failures == ()
    first, second = plan.clips
    # frame 4 is in the second alone, frame 2 is in both and centred in neither
    assert [clip.is_for(1) for clip in (first, second)] == [True, False]
    assert [clip.is_for(4) for clip in (first, second)] == [False, True]
    assert not first.is_for(2)
    assert not first.is_for(None)


def test_a_frame_that_comes_again_is_the_same_in_pixels_latents_and_noise(plan_of, published, tmp_path):
    plan = plan_of(published.write_jhmdb(tmp_path / "jhmdb"), "jhmdb", "test")
    assert [clip.frames for clip in plan.clips] == [(0, 0, 0, 1, 2), (0, 0, 1, 2, 3), (0, 1, 2, 3, 3)]
    store = FeatureStore.create(tmp_path / "store")
    report = extract(plan, store)
    assert (report.failures, report.written) == ([], 3 * len(plan.specs))
    (vae,) = (spec for spec in plan.specs if spec.condition is None)
    (grid,) = (spec for spec in plan.specs if spec.condition is not None)
    first = plan.clips[0]
    latents = store.get(vae.key, first.item(vae, None)).read("vae.latents")
    assert latents.shape[0] == 5
    assert np.array_equal(latents[0], latents[1])
    assert np.array_equal(latents[0], latents[2])
    assert not np.array_equal(latents[0], latents[3])
    features = store.get(grid.key, first.item(grid, first.texts[0])).read("unet.down.0", 0)
    assert features.shape[0] == 5  # the temporal layers tell the places of a frame apart
    with FrameReader(first.video) as reader:
        frames = reader.read(first.frames)
    assert np.array_equal(frames[0], frames[2])
    again = extract(plan, store)
    assert (again.written, again.already) == (0, report.items)


def test_expressions_that_no_clip_can_be_for_are_said(plan_of, published, tmp_path):
    a2d = published.write_a2d(tmp_path / "a2d")
    rows = [["a Ball rolling", "vA", 2, 0], ["a cat jumping", "vA", 7, 2], ["a bird", "vB", 9, 1]]
    published.write_json(a2d / "a2d_sentences_single_frame_train_annotations.json", rows)
    plan = plan_of(a2d, "a2d", "train")
    assert [clip.centre for clip in plan.clips] == [1]
    assert [(failure.where, failure.error.split(", and")[0]) for failure in plan.failures] == [
        ("vA/f_7_i_2", "is about frame 6 of 6"),
        ("vB/f_9_i_1", "is about frame 8 of 6"),
    ]


def test_videos_whose_texts_are_about_all_frames(plan_of, published, tmp_path):
    plan = plan_of(published.write_ytvos(tmp_path / "ytvos"), "ref-ytvos", "train")
    assert plan.clips == ()
    assert "is about no single frame, and clips of kind 'centred' are made around one" in plan.failures[0].error


def test_a_video_without_expressions(plan_of, published, tmp_path):
    frames = published.write_jhmdb(tmp_path / "jhmdb") / "Rename_Images" / "catch" / "Goal_catch_0"
    plan = plan_of(frames, "frames", "valid", conditions=["vd-i"])
    assert [failure.error[:22] for failure in plan.failures] == ["has no expression, and"]
