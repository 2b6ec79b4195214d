"""Clips for a head, of taps whose maps stand for several frames."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from head_things import head_config

from vdprobe.data.masks import read_object_mask
from vdprobe.data.moving_shapes.write import write_moving_shapes
from vdprobe.errors import ConfigError, DataError
from vdprobe.head.head import Head
from vdprobe.head.words import WordEncoder
from vdprobe.specs.layer import TapPlace
from vdprobe.specs.spans import frame_spans, group_spans
from vdprobe.store.store import FeatureStore
from vdprobe.studies.predict.config import PredictConfig
from vdprobe.training.head_clips import find_cached_referrals
from vdprobe.training.head_data import HeadData, HeadPlans
from vdprobe.training.head_training import describe
from vdprobe.training.video_masks import _Asked

GROUPED = ("pixels.8", "pixels.16")
"""Taps with maps of frames 0, 1..2, 3..4 and so on; the others have a map a frame."""


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Two videos of five frames."""
    folder = tmp_path_factory.mktemp("data") / "shapes"
    write_moving_shapes(folder, {"train": 2}, frames=5, side=32)
    return folder


@pytest.fixture
def data_of(shapes, tmp_path):
    """The data of a head whose features are the number of the map, or of the frame where there is a map for each."""

    def make(rule, **changes):
        changes = {"features": {"clips": {"frames": 5}}, "frames": None, "reverse": 0.0} | changes
        config = head_config(shapes, tmp_path / "store", frame_rule=rule, **changes)
        plans = HeadPlans.make(config)
        store = FeatureStore.create(tmp_path / "store", durable=False)
        for spec, clip in ((spec, clip) for spec in plans.views[0].specs for clip in plans.views[0].clips):
            store.write_spec(spec, {})
            for item in clip.items(spec):
                count = len(item.frames)
                features, places = {}, {}
                for tap in spec.taps:
                    stride = int(tap.removeprefix("pixels."))
                    spans = group_spans(count, 2) if tap in GROUPED else frame_spans(count)
                    places[tap] = TapPlace(stride, spans)
                    numbers = np.arange(len(spans), dtype=np.float32)[None, :, None, None, None]
                    features[tap] = np.broadcast_to(numbers, (1, len(spans), 1, 32 // stride, 32 // stride))
                attrs = {"source_size": [32, 32], "frame_size": [32, 32], "padded_size": [32, 32]}
                store.write(spec, item, features, places=places, attrs=attrs)
        return HeadData.open(plans)

    return make


def numbers(level):
    assert (level == level[:, :1, :1, :1]).all()
    return level[:, 0, 0, 0].tolist()


@pytest.mark.parametrize(
    ("rule", "frames", "grouped"),
    [
        ("nearest", [0, 1, 2, 3, 4], [0, 1, 1, 2, 2]),
        ("linear", [0, 1, 2, 3, 4], [0, 0.5, 1, 1.5, 2]),
        ("ends", [0, 2, 4], [0, 1, 2]),
    ],
)
def test_a_head_clip(data_of, rule, frames, grouped):
    clips = data_of(rule).clips()
    whole = [clip for clip in (clips.load(0, place) for place in range(20)) if clip.name["frames"][-1] == 4]
    assert whole
    for clip in whole:
        fine, eight, sixteen, coarse = map(numbers, clip.levels)
        assert fine == coarse == frames and eight == sixteen == grouped
        assert clip.name["frames"] == tuple(frames)
        name = (clip.name["video"], clip.name["expression"])
        referral = next(r for r in clips.referrals if (r.video.id, r.expression.id) == name)
        mask = read_object_mask(referral.video, referral.object_ids, clip.name["frames"])
        assert np.array_equal(clip.target.masks.numpy(), mask)


@pytest.mark.parametrize("rule", ["nearest", "linear", "ends"])
def test_some_frames_of_a_clip(data_of, rule):
    """Consecutive ones of those that have features, forwards or backwards."""
    clips = data_of(rule, frames=2, reverse=0.5).clips()
    view = clips.views[0]
    seen = set()
    for place in range(40):
        clip = clips.load(0, place)
        frames = clip.name["frames"]
        work = next(w for w in clips.clips[clip.name["video"]] if set(frames) <= set(w.frames))
        there = view.frames_with_features(work)
        levels = [level[[there.index(frame) for frame in frames]] for level in view.levels(work)]
        assert all(torch.equal(a, b) for a, b in zip(clip.levels, levels, strict=True))
        assert len(clip.target.masks) == len(frames)
        seen.add(tuple(frame - work.frames[0] for frame in frames))
    assert ((0, 2) in seen and (0, 1) not in seen) if rule == "ends" else ((0, 1) in seen and (0, 2) not in seen)


def test_frames_that_are_not_there(data_of):
    view = data_of("ends").train[0]
    with pytest.raises(ConfigError, match=r"frames 1:5 lie outside the 3 frames of .* have features by rule 'ends'"):
        view.levels(view.clips[0], None, slice(1, 5))


def test_an_expression_of_a_frame_without_features_is_told(data_of):
    data = data_of("ends")
    (view,) = data.train
    clip = view.clips[0]

    def annotated(frame):
        expressions = tuple(replace(e, frame=frame) for e in clip.video.expressions)
        work = replace(clip, video=replace(clip.video, expressions=expressions))
        return replace(view, plan=replace(view.plan, clips=(work,), failures=()))

    assert find_cached_referrals(annotated(2)).failures == ()
    with pytest.raises(DataError):
        find_cached_referrals(annotated(1))
    nearest = replace(annotated(1), frame_rule="nearest")
    assert find_cached_referrals(nearest).failures == ()


def test_masks_are_asked_of_the_frames_that_have_features(data_of):
    for rule, frames in (("nearest", (0, 1, 2, 3, 4)), ("ends", (0, 2, 4))):
        (view,) = data_of(rule).train
        (piece,) = _Asked(Head.__new__(Head), view, view.clips[0].texts[0], torch.zeros(1, 1)).pieces(view.clips[:1])
        assert piece.frames == frames


def test_the_rule_is_part_of_a_training(shapes, tmp_path):
    words, records = WordEncoder.load("pipeline:random:tiny", None, torch.device("cpu")), {}
    for rule in ("nearest", "linear"):
        plans = HeadPlans.make(head_config(shapes, tmp_path / "store", frame_rule=rule))
        records[rule] = describe(plans, words)["config"]
    assert "frame_rule" not in records["nearest"]  # as in the folders of before there was another
    assert records["linear"]["frame_rule"] == "linear"


def test_a_prediction_has_a_mask_for_every_frame(shapes, tmp_path):
    features = head_config(shapes, tmp_path / "store").features
    with pytest.raises(ConfigError, match=r"by frame_rule 'ends' .* set frame_rule=nearest or frame_rule=linear"):
        PredictConfig(features=features, frame_rule="ends")
