from dataclasses import replace

import numpy as np
import pytest
import torch
from head_things import head_config, load_training
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from vdprobe.data.masks import read_object_mask
from vdprobe.errors import DataError
from vdprobe.extraction.clip_work import ClipWork, clips_by_video
from vdprobe.specs.video import Resize
from vdprobe.training.head_clips import find_cached_referrals, long_clips
from vdprobe.training.head_data import HeadData, HeadPlans
from vdprobe.training.head_targets import clip_target


@pytest.fixture
def drawn_from(configure_head):
    """What a configuration draws from."""
    return lambda **changes: HeadData.open(HeadPlans.make(configure_head(**changes))).clips()


def names(clips):
    return [clip.name for clip in clips]


def test_a_place_is_a_function_of_seed_step_and_place(drawn_from):
    first, again, other = (drawn_from(seed=seed, views=[{"flip": True}]) for seed in (0, 0, 1))
    places = [(step, place) for step in range(4) for place in range(2)]
    forward = [first.load(*place).name for place in places]
    assert [again.load(*place).name for place in reversed(places)] == forward[::-1]
    assert [other.load(*place).name for place in places] != forward
    # the same place in the row of all clips is the same clip, however large the batches are
    assert [replace(first, batch_size=8).load(0, place).name for place in range(8)] == forward


def test_every_expression_comes_once_before_any_comes_twice(drawn_from):
    clips = drawn_from()
    count = len(clips.referrals)
    epochs = [names(clips.load(0, epoch * count + place) for place in range(count)) for epoch in range(2)]
    for epoch in epochs:
        assert len({(name["video"], name["expression"]) for name in epoch}) == count
    assert epochs[0] != epochs[1]


def test_what_is_loaded_belongs_together(drawn_from):
    """Pixels at stride 4 and the masks of the same frames, in the same order, mirrored or not."""
    clips = drawn_from(views=[{"flip": True}], reverse=0.5)
    videos = {referral.video.id: referral.video for referral in clips.referrals}
    seen = set()
    for place in range(30):
        clip = clips.load(0, place)
        name, view = clip.name, clips.views[clip.name["view"]]
        referral = next(
            r for r in clips.referrals if (r.video.id, r.expression.id) == (name["video"], name["expression"])
        )
        flipped = view.plan.config.resize.flip
        work = clips.clips[name["video"]][0]
        pixels = view.levels(work)[0][[work.frames.index(frame) for frame in name["frames"]]]
        assert torch.equal(clip.levels[0], pixels)
        mask = read_object_mask(videos[name["video"]], referral.object_ids, name["frames"])
        expected = mask[:, :, ::-1] if flipped else mask
        assert np.array_equal(clip.target.masks.numpy(), expected)
        assert torch.equal(clip.target.visible, clip.target.masks.flatten(1).any(1))
        seen.add((flipped, name["frames"][0] > name["frames"][-1], abs(name["frames"][0] - name["frames"][-1])))
    assert seen == {(flipped, backwards, 1) for flipped in (False, True) for backwards in (False, True)}


def test_every_sample_draws_its_light(shapes, tmp_path):
    """A view of another light changes features and nothing else: each view has its share."""
    dark = {"kind": "gamma", "strength": 1.0, "seed": 3}
    config = head_config(shapes, tmp_path, views=[{"lighting": dark}, {"lighting": dark | {"seed": 4}, "flip": True}])
    plans = HeadPlans.make(config)
    plans.extract()
    clips = HeadData.open(plans).clips()
    drawn = [clips.load(0, place) for place in range(60)]
    counts = [sum(clip.name["view"] == view for clip in drawn) for view in range(3)]
    assert min(counts) > 10
    for clip in drawn:
        work = clips.clips[clip.name["video"]][0]
        places = [work.frames.index(frame) for frame in clip.name["frames"]]
        upright = clips.views[0].levels(work)[0][places]
        view = clips.views[clip.name["view"]]
        assert torch.equal(clip.levels[0], view.levels(work)[0][places])
        assert torch.equal(clip.levels[0], upright) == (clip.name["view"] == 0)
        assert view.plan.config.resize.flip == (clip.name["view"] == 2)
    assert config.validation is None
    assert head_config(shapes, tmp_path, views=[{"lighting": dark}], val_split="val").validation.lighting is None


def test_the_text_of_a_mirrored_clip_is_mirrored(drawn_from):
    clips = drawn_from(views=[{"flip": True}])
    referrals = [replace(r, expression=replace(r.expression, text="the left ring")) for r in clips.referrals]
    clips = replace(clips, referrals=tuple(referrals))
    texts = {(clip.name["view"], clip.text) for clip in (clips.load(0, place) for place in range(10))}
    assert texts == {(0, "the left ring"), (1, "the right ring")}


def test_the_words_of_every_view_are_asked_for(configure_head):
    data = HeadData.open(HeadPlans.make(configure_head(views=[{"flip": True}], val_split="val")))
    (first, *others) = data.referrals.usable
    named = replace(first, expression=replace(first.expression, text="the left ring"))
    texts = replace(data, referrals=replace(data.referrals, usable=(named, *others))).texts
    assert {"the left ring", "the right ring", data.val_referrals.usable[0].expression.text} <= set(texts)
    assert len(texts) == len(set(texts))


@pytest.mark.parametrize(("frames", "lengths"), [(1, {1}), (3, {3}), (5, {3}), (None, {3})])
def test_frames_of_a_draw(drawn_from, frames, lengths):
    clips = drawn_from(frames=frames, reverse=0)
    frames = [clips.load(0, place).name["frames"] for place in range(12)]
    assert {len(of_clip) for of_clip in frames} == lengths
    assert all(of_clip == tuple(range(of_clip[0], of_clip[0] + len(of_clip))) for of_clip in frames)
    starts = {of_clip[0] for of_clip in frames}
    assert starts == ({0, 1, 2} if lengths == {1} else {0})


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.none() | st.integers(1, 9))
def test_short_clips_are_drawn_only_where_there_are_no_longer_ones(lengths, frames):
    clips = [ClipWork.__new__(ClipWork) for _ in lengths]
    for clip, length in zip(clips, lengths, strict=True):
        object.__setattr__(clip, "frames", tuple(range(length)))
    found = [len(clip.frames) for clip in long_clips(clips, frames)]
    if frames is not None and max(lengths) >= frames:
        assert found == [length for length in lengths if length >= frames]
    else:
        assert found == [length for length in lengths if length == max(lengths)]


def annotated_in(cached, frame):
    """The same clips, whose expressions are annotated in one frame alone."""

    def change(clip):
        expressions = tuple(replace(expression, frame=frame) for expression in clip.video.expressions)
        return replace(clip, video=replace(clip.video, expressions=expressions))

    return replace(cached, plan=replace(cached.plan, clips=tuple(change(clip) for clip in cached.clips)))


def test_an_expression_of_one_frame_shows_the_head_that_frame(drawn_from):
    clips = drawn_from(frames=2, reverse=1)
    cached = annotated_in(clips.views[0], 1)
    one = replace(
        clips,
        views=(cached,),
        referrals=find_cached_referrals(cached).usable,
        clips=clips_by_video(cached.clips),
    )
    for place in range(6):
        clip = one.load(0, place)
        assert clip.name["frames"] == (1,)
        assert torch.equal(clip.levels[0], cached.levels(one.clips[clip.name["video"]][0])[0][1:2])
        assert clip.target.boxes.shape == (1, 4)


def test_an_annotated_frame_outside_of_all_clips_is_a_failure(drawn_from):
    cached = annotated_in(drawn_from().views[0], 7)
    with pytest.raises(DataError, match="has no expression with a mask"):
        find_cached_referrals(cached)
    (first, *others) = cached.clips
    inside = annotated_in(cached, 0).clips[0]
    found = find_cached_referrals(replace(cached, plan=replace(cached.plan, clips=(inside, *others))))
    assert {referral.video.id for referral in found.usable} == {first.video.id}
    assert all("frame 7, in which it is annotated, is in no clip" in failure.error for failure in found.failures)


def test_what_of_the_data_is_not_used_is_said(configure_head, tmp_path):
    config = configure_head(
        features={"clips": {"frames": 2}, "store": {"path": str(tmp_path)}}, frames=3, val_split="val"
    )
    plans = HeadPlans.make(config)
    plans.extract()
    data = HeadData.open(plans)
    assert data.notes() == (
        "2 clips are shorter than their video's others and are not drawn",
        "2 videos have no clip of 3 frames, and shorter ones are drawn",
    )
    referrals = replace(data.val_referrals, unlabelled=4, unmasked=1)
    assert replace(data, val_referrals=referrals).notes()[2:] == (
        "1 videos of the validation split have no masks and were left out",
        "4 expressions of the validation split do not say which object they mean and were left out",
    )


def test_draws_that_were_absent_are_counted(configure_head, tmp_path, monkeypatch):
    training = load_training(configure_head(), tmp_path)
    clip = training.data.clips().load(0, 0)
    row = training.step(0, [replace(clip, absent=2), clip], 0.0)
    assert row["absent"] == training.absent == 2
    assert "2 clips never showed their object and were drawn again" in training.notes()


def test_boxes_are_shares_of_the_picture_and_end_in_its_pixels():
    mask = np.zeros((2, 10, 20), dtype=bool)
    mask[0, 2:5, 3:8] = True
    resize = Resize(short_side=20, long_side=None)
    upright, flipped = (clip_target(mask, replace(resize, flip=flip)) for flip in (False, True))
    torch.testing.assert_close(upright.boxes, torch.tensor([[0.25, 0.3, 0.2, 0.2], [0, 0, 0, 0]]))
    torch.testing.assert_close(flipped.boxes[0, 0], torch.tensor(0.7))
    assert upright.visible.tolist() == flipped.visible.tolist() == [True, False]
    assert upright.masks.shape == (2, 32, 48)  # 20 x 40, padded
    assert upright.masks[0].nonzero().aminmax(dim=0).max.tolist() == [9, 15]
    assert flipped.masks[0].nonzero().aminmax(dim=0).min.tolist() == [4, 24]
    with pytest.raises(TypeCheckError):
        clip_target(mask[0], resize)


def test_views_are_specs_of_their_own(drawn_from):
    clips = drawn_from(views=[{"flip": True}])
    assert clips.views[0].widths() == clips.views[1].widths()
    assert len({spec.key for view in clips.views for spec in view.specs}) == 2
