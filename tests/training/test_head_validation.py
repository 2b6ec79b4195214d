from dataclasses import replace

import pytest
import torch
from head_things import load_training

from vdprobe.data.masks import read_object_mask
from vdprobe.training import head_validation
from vdprobe.training.head_validation import Score, score_expressions
from vdprobe.training.video_masks import FrameQueries


@pytest.fixture
def measured(configure_head, tmp_path):
    return load_training(configure_head(val_split="val"), tmp_path)


def score(training, referrals=None):
    data = training.data
    return list(
        score_expressions(training.head.eval(), data.validation, referrals or data.val_referrals.usable, training.words)
    )


def test_the_truth_scores_one_in_all_frames(measured, monkeypatch):
    usable = measured.data.val_referrals.usable
    asked = iter(usable)

    def truth(_head, _cached, video, text, _words, keep):
        referral = next(asked)
        assert (video[0].video.id, text) == (referral.video.id, referral.expression.text)
        for frames in ((2,), (0, 1)):  # in whatever pieces they come
            mask = read_object_mask(referral.video, referral.object_ids, frames)
            keep(frames, torch.from_numpy(mask).float() - 0.5)

    monkeypatch.setattr(head_validation, "segment_video", truth)
    assert score(measured) == [Score(1.0, 1.0)] * len(usable)


def test_scores_are_means_over_frames_and_expressions(measured, monkeypatch):
    usable = measured.data.val_referrals.usable
    monkeypatch.setattr(
        head_validation,
        "segment_video",
        lambda _h, _c, _v, _t, _w, keep: keep((0, 1, 2), torch.full((3, 32, 32), -1.0)),
    )
    seen = [read_object_mask(r.video, r.object_ids, (0, 1, 2)).any(axis=(1, 2)).mean() for r in usable]
    expected = sum(1 - share for share in seen) / len(usable)  # an empty mask is right where the object is absent
    found = measured.validate()
    assert found["J"] == pytest.approx(expected)
    assert found["J&F"] == pytest.approx((found["J"] + found["F"]) / 2)
    assert measured.best == found
    assert (measured.out / "best" / "head.safetensors").exists()
    assert measured.head.training


def test_only_a_better_head_is_kept(measured):
    measured.best = {"J&F": 2.0, "J": 2.0, "F": 2.0}
    measured.validate()
    assert not (measured.out / "best").exists()


def test_an_expression_of_one_frame_is_scored_there_by_its_surest_query(measured, monkeypatch):
    referral = measured.data.val_referrals.usable[0]
    one = replace(referral, expression=replace(referral.expression, frame=1))
    truth = torch.from_numpy(read_object_mask(referral.video, referral.object_ids, (1,)))

    def queries(_head, _cached, clip, frame, _text, _words):
        assert (clip.video.id, frame) == (referral.video.id, 1)
        logits = torch.cat([~truth, truth, ~truth]).float() - 0.5
        return FrameQueries(torch.tensor([0.1, 0.9, 0.2]), torch.zeros(3, 4), logits)

    monkeypatch.setattr(head_validation, "segment_frame", queries)
    assert score(measured, [one]) == [Score(1.0, 1.0)]


def test_a_real_head_gives_shares(measured):
    for found in score(measured):
        assert 0 <= found.j <= 1
        assert 0 <= found.f <= 1
