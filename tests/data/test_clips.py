from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vdprobe.data.clips import sample_clips
from vdprobe.errors import DataError
from vdprobe.specs.video import ClipSampling

lengths = st.integers(1, 300)


def sample(num_frames, video="dog", **sampling):
    return sample_clips(video, num_frames, ClipSampling(**sampling))


def test_windows_known_answers():
    assert sample(5, frames=2) == ((0, 1), (2, 3), (4,))
    assert sample(4, frames=2) == ((0, 1), (2, 3))
    assert sample(5, frames=3, overlap=1) == ((0, 1, 2), (2, 3, 4))
    assert sample(6, frames=3, overlap=1) == ((0, 1, 2), (2, 3, 4), (4, 5))
    assert sample(3, frames=36) == ((0, 1, 2),)
    assert sample(1, frames=4, overlap=3) == ((0,),)


@given(lengths, st.integers(1, 40))
def test_windows_without_overlap_hold_every_frame_once(num_frames, frames):
    clips = sample(num_frames, frames=frames)
    assert [i for clip in clips for i in clip] == list(range(num_frames))
    assert all(len(clip) == frames for clip in clips[:-1])


@given(lengths, st.integers(1, 40), st.data())
def test_each_window_adds_a_frame_and_shares_the_overlap(num_frames, frames, data):
    overlap = data.draw(st.integers(0, frames - 1))
    clips = sample(num_frames, frames=frames, overlap=overlap)
    seen = set()
    for clip in clips:
        assert set(clip) - seen
        seen |= set(clip)
    assert seen == set(range(num_frames))
    for before, after in pairwise(clips):
        assert before[len(before) - overlap :] == after[:overlap]
        assert len(before) == frames


def test_consecutive_and_even_known_answers():
    assert sample(10, kind="consecutive", frames=3, start=7) == ((7, 8, 9),)
    assert sample(10, kind="even", frames=4) == ((0, 3, 6, 9),)
    assert sample(8, kind="even", frames=3) == ((0, 4, 7),)
    assert sample(9, kind="even", frames=1) == ((0,),)


def test_centred_known_answers():
    """As official a2d.py:114 counts, from frame - 5 // 2 to frame + (5 + 1) // 2, with the ends of the video again."""
    centred = ClipSampling(kind="centred")
    assert centred.frames == 5
    assert sample_clips("dog", 40, centred, [0, 1, 20, 39]) == (
        (0, 0, 0, 1, 2), (0, 0, 1, 2, 3), (18, 19, 20, 21, 22), (37, 38, 39, 39, 39),
    )  # fmt: skip
    assert sample_clips("dog", 1, centred, [0]) == ((0,) * 5,)
    assert sample_clips("dog", 9, ClipSampling(kind="centred", frames=4), [4]) == ((2, 3, 4, 5),)
    assert sample_clips("dog", 9, centred) == ()
    assert ClipSampling(kind="vdit").frames == ClipSampling().frames == 36


@given(st.integers(1, 50), st.integers(1, 12), st.data())
def test_the_centre_is_where_it_belongs(num_frames, frames, data):
    centre = data.draw(st.integers(0, num_frames - 1))
    (clip,) = sample_clips("dog", num_frames, ClipSampling(kind="centred", frames=frames), [centre])
    assert len(clip) == frames
    assert clip[frames // 2] == centre
    assert list(clip) == sorted(clip)
    assert all(after - before in (0, 1) for before, after in pairwise(clip))


def test_a_short_video_is_an_error_that_says_what_to_do():
    with pytest.raises(DataError, match=r"video 'dog' has 4 frames and clips.kind 'even' needs 5; lower clips.frames"):
        sample(4, kind="even", frames=5)
    with pytest.raises(DataError, match=r"has 9 frames .* needs 3 from frame 7 on; lower clips.frames or clips.start"):
        sample(9, kind="consecutive", frames=3, start=7)
    with pytest.raises(DataError, match="no frames"):
        sample(0)


def test_vdit_draws_are_fixed_for_ever():
    # features are stored under these frames: another order of draws would orphan every store
    expected = ((18, 19, 20, 26, 31), (1, 2, 32, 34, 36), (26, 28, 30, 38, 39))
    assert sample(40, kind="vdit", frames=5, clips=3, seed=0) == expected


@given(lengths, st.integers(3, 9), st.integers(0, 5), st.text(max_size=8))
def test_vdit_clips(num_frames, frames, seed, video):
    clips = sample(num_frames, video, kind="vdit", frames=frames, clips=4, seed=seed)
    assert len(clips) == 4
    for clip in clips:
        assert len(clip) == frames
        assert set(clip) <= set(range(num_frames))
        assert list(clip) in (sorted(clip), sorted(clip, reverse=True))
    assert clips == sample(num_frames, video, kind="vdit", frames=frames, clips=4, seed=seed)
    # more clips begin with the same ones
    assert clips[:2] == sample(num_frames, video, kind="vdit", frames=frames, clips=2, seed=seed)


@given(st.integers(30, 300), st.integers(3, 9), st.integers(0, 99))
def test_vdit_rest_lies_outside_the_span(num_frames, frames, seed):
    (clip,) = sample(num_frames, kind="vdit", frames=frames, seed=seed)
    ordered = sorted(clip)
    # some three neighbours span at most 6 frames, and no frame of the rest is among or twice in them
    spans = [ordered[i : i + 3] for i in range(frames - 2)]
    assert any(c - a <= 6 for a, _, c in spans)
    assert len(set(clip)) >= frames - 1  # only the clamped neighbour may equal the centre


def test_vdit_is_reversed_in_three_of_ten():
    clips = sample(1000, kind="vdit", frames=5, clips=4000)
    assert np.mean([clip[0] > clip[-1] for clip in clips]) == pytest.approx(0.3, abs=0.03)


def test_vdit_with_one_frame_repeats_it():
    assert sample(1, kind="vdit", frames=5) == ((0, 0, 0, 0, 0),)


def test_vdit_depends_on_seed_and_video():
    draws = {sample(500, video, kind="vdit", frames=5, seed=seed) for video in ("a", "b", "1") for seed in range(5)}
    assert len(draws) == 15
