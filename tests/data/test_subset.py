from dataclasses import replace
from pathlib import Path

import pytest

from vdprobe.data.subset import shuffle_texts, take_difficulty, take_first
from vdprobe.data.video import Expression, Failure, Video, VideoSet
from vdprobe.errors import ConfigError

TEXTS = (
    Expression("0", "the red star", ("1",)),
    Expression("1", "the star on the left", ("1",)),
    Expression("2", "the two stars", ("1", "2")),
    Expression("3", "what the dataset hides", None),
    Expression("4", "the same", None),
    Expression("5", "nothing that is here", ()),
    Expression("6", "a unicorn", ()),
)
FOUND = VideoSet(
    tuple(Video(name, Path(name), ("0.png",), TEXTS) for name in ("a", "b", "c")), (Failure("x", "is damaged"),)
)


def test_none_takes_all():
    assert take_first(FOUND, None, None) == FOUND


def test_first_videos_keep_their_failures():
    kept = take_first(FOUND, 2, None)
    assert [video.id for video in kept.videos] == ["a", "b"]
    assert kept.failures == FOUND.failures


def test_texts_of_the_same_objects_are_counted_together_and_unknown_ones_are_kept():
    kept = take_first(FOUND, None, 1)
    assert [e.id for e in kept.videos[0].expressions] == ["0", "2", "3", "4", "5"]
    assert len(kept.videos) == 3


def test_shuffled_texts_are_the_same_texts_elsewhere_and_depend_on_the_seed_alone():
    texts = [(v.id, e.id, e.text, e.object_ids) for v in FOUND.videos for e in v.expressions]
    videos = tuple(
        replace(video, expressions=tuple(replace(e, text=f"{video.id} {e.text}") for e in video.expressions))
        for video in FOUND.videos
    )
    other = shuffle_texts(VideoSet(videos, ()), 3)
    moved = [(v.id, e.id, e.text, e.object_ids) for v in other.videos for e in v.expressions]
    assert [(v, e, ids) for v, e, _, ids in moved] == [(v, e, ids) for v, e, _, ids in texts]
    assert sorted(text for _, _, text, _ in moved) == sorted(f"{v} {text}" for v, _, text, _ in texts)
    assert all(new != f"{v} {old}" for (v, _, old, _), (_, _, new, _) in zip(texts, moved, strict=True))
    assert shuffle_texts(VideoSet(videos[::-1], ()), 3).videos[::-1] == other.videos
    assert shuffle_texts(VideoSet(videos, ()), 4) != other


def test_texts_of_one_difficulty():
    one, other = (replace(FOUND.videos[0], id=name) for name in ("a", "b"))
    one = replace(
        one, expressions=(replace(TEXTS[0], difficulty="attribute"), replace(TEXTS[1], difficulty="relation"))
    )
    found = VideoSet((one, replace(other, expressions=one.expressions[1:])), FOUND.failures)
    kept = take_difficulty(found, "attribute")
    assert [(video.id, [e.id for e in video.expressions]) for video in kept.videos] == [("a", ["0"])]
    assert kept.failures == FOUND.failures
    assert take_difficulty(found, None) == found
    with pytest.raises(ConfigError, match="no expression of difficulty 'order': valid: attribute, relation"):
        take_difficulty(found, "order")
    with pytest.raises(ConfigError, match="is asked for, and the dataset tells that of no expression"):
        take_difficulty(FOUND, "attribute")
