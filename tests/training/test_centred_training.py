"""Training and validation on expressions that are annotated in one frame, in clips around it (A2D-Sentences)."""

import shutil

import numpy as np
import pytest
import torch
from head_things import head_config

from vdprobe.training import head_validation
from vdprobe.training.head_config import HeadTrainingConfig
from vdprobe.training.head_data import HeadData, HeadPlans
from vdprobe.training.head_training import train_head
from vdprobe.training.video_masks import segment_frame


@pytest.fixture
def config(published, tmp_path) -> HeadTrainingConfig:
    a2d = published.write_a2d(tmp_path / "a2d")
    videos = {"layout": "a2d", "split": "train"}
    features = {"clips": {"kind": "centred"}, "resize": {"long_side": 640}, "videos": videos}
    return head_config(a2d, tmp_path / "store", features=features, steps=1, val_split="test")


def test_a_sample_is_the_annotated_frame_of_the_clip_around_it(config):
    plans = HeadPlans.make(config)
    plans.extract()
    data = HeadData.open(plans)
    clips = data.clips()
    seen = {}
    for place in range(12):
        clip = clips.load(0, place)
        (frame,) = clip.name["frames"]
        (around,) = (work for work in clips.clips["vA"] if work.centre == frame)
        assert clip.text in around.texts
        expected = clips.views[0].levels(around, clip.text)
        assert all(torch.equal(level, whole[[2]]) for level, whole in zip(clip.levels, expected, strict=True))
        seen[clip.name["expression"]] = around.frames
    assert seen == {"f_2_i_0": (0, 0, 1, 2, 3), "f_2_i_2": (0, 0, 1, 2, 3), "f_5_i_2": (2, 3, 4, 5, 5)}
    assert [clip.frames for clip in data.validation.clips] == [(0, 0, 0, 1, 2)]


def test_of_clips_that_share_frames_each_is_for_its_own(published, tmp_path, monkeypatch):
    """A text that is annotated in two frames, one after the other: both are in both clips."""
    a2d = published.write_a2d(tmp_path / "a2d")
    masks = a2d / "text_annotations" / "a2d_annotation_with_instances" / "vA"
    shutil.copy(masks / "00002.h5", masks / "00003.h5")
    rows = [["a cat jumping", "vA", frame, 2] for frame in (2, 3)]
    for split in ("train", "test"):
        published.write_json(a2d / f"a2d_sentences_single_frame_{split}_annotations.json", rows)
    features = {"clips": {"kind": "centred"}, "videos": {"layout": "a2d", "split": "train"}}
    config = head_config(a2d, tmp_path / "store", features=features, steps=1, val_split="test")
    plans = HeadPlans.make(config)
    plans.extract()
    clips = HeadData.open(plans).clips()
    drawn = {
        (referral.expression.id, clips.choose(referral, np.random.default_rng(seed))[0].clip.centre)
        for referral in clips.referrals
        for seed in range(10)
    }
    assert drawn == {("f_2_i_2", 1), ("f_3_i_2", 2)}
    looked = []

    def queries(head, cached, clip, frame, text, words):
        looked.append((clip.centre, frame))
        return segment_frame(head, cached, clip, frame, text, words)

    monkeypatch.setattr(head_validation, "segment_frame", queries)
    train_head(config, tmp_path / "out")
    assert looked == [(1, 1), (2, 2)]


def test_it_trains_and_is_measured(config, tmp_path):
    made = train_head(config, tmp_path / "out", fill=True)
    assert made.failures == ()
    assert set(made.scores) == {"J&F", "J", "F"}


def test_expressions_about_whole_videos_are_said_once(published, tmp_path):
    """A video with both kinds: the clips are for those of one frame."""
    from dataclasses import replace

    from vdprobe.data import layouts

    a2d = published.write_a2d(tmp_path / "a2d")
    dataset = layouts.DATASETS["a2d"]

    def load(path, split):
        found = dataset.load(path, split)
        first = found.videos[0]
        whole = replace(first.expressions[0], id="whole", frame=None)
        return replace(found, videos=(replace(first, expressions=(*first.expressions, whole)),))

    features = {"clips": {"kind": "centred"}, "videos": {"layout": "a2d", "split": "train"}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(layouts.DATASETS, "a2d", replace(dataset, load=load))
        plans = HeadPlans.make(head_config(a2d, tmp_path / "store", features=features))
        plans.extract()
        data = HeadData.open(plans)
    assert [failure.where for failure in data.referrals.failures] == ["vA/whole"]
    assert "whole" not in {referral.expression.id for referral in data.referrals.usable}
