import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from vdprobe.data.video import VideoSet
from vdprobe.errors import ConfigError, DataError
from vdprobe.specs.video import ClipSampling
from vdprobe.training.referring_clips import ClipDraws, find_referrals, referrals_of

TWO = ClipSampling(frames=2)


@pytest.fixture
def changed(shapes, tmp_path):
    """A copy of the data, and its expressions to change."""
    folder = tmp_path / "changed"
    shutil.copytree(shapes, folder)
    path = folder / "meta_expressions" / "train" / "meta_expressions.json"

    def change(edit):
        value = json.loads(path.read_text())
        edit(value["videos"])
        path.write_text(json.dumps(value))
        return folder

    return change


def names(clips):
    return [(c.referral.video.id, c.referral.expression.id, c.frames) for c in clips]


def test_a_batch_is_a_function_of_seed_and_step(shapes):
    usable = find_referrals(shapes, "train").usable
    first, again, other = (ClipDraws(usable, TWO, seed, "train") for seed in (0, 0, 1))
    forward = [names(first.batch(step, 3)) for step in range(4)]
    assert [names(again.batch(step, 3)) for step in reversed(range(4))] == forward[::-1]
    assert [names(other.batch(step, 3)) for step in range(4)] != forward
    assert names(ClipDraws(usable, TWO, 0, "val").batch(0, 3)) != forward[0]


def test_an_epoch_has_every_expression_once(shapes):
    usable = find_referrals(shapes, "train").usable
    draws = ClipDraws(usable, TWO, 0, "train")
    epochs = [[c.referral for c in draws.batch(epoch, len(usable))] for epoch in range(2)]
    assert draws.absent == 0
    for epoch in epochs:
        assert sorted(epoch, key=usable.index) == list(usable)
    assert epochs[0] != epochs[1]


class Corners:
    """Masks that overlap: the first column, the first row."""

    def read(self, object_id, frame, size):
        mask = np.zeros(size, dtype=bool)
        mask[(slice(None), 0) if object_id == "left" else (0, slice(None))] = True
        return mask


def test_several_objects_are_meant_together_and_none_is_left_out(shapes):
    usable = find_referrals(shapes, "train").usable
    overlapping = replace(usable[0].video, annotations=Corners())
    both = replace(usable[0], video=overlapping, object_ids=("left", "top"))
    (clip,) = ClipDraws((both,), TWO, 0, "train").batch(0, 1)
    assert clip.mask[:, 0].all() and clip.mask[:, :, 0].all()
    assert not clip.mask[:, 1:, 1:].any()
    video = replace(usable[0].video, expressions=(replace(usable[0].expression, object_ids=()),))
    found = referrals_of(VideoSet((video, usable[0].video), ()))
    assert found.unlabelled == 1
    still = replace(usable[0].video, expressions=(replace(usable[0].expression, frame=1),))
    (failure,) = referrals_of(VideoSet((still, usable[-1].video), ())).failures
    assert "annotated in frame 1 alone" in failure.error


def test_the_mask_is_of_the_object_that_is_meant(shapes):
    for clip in ClipDraws(find_referrals(shapes, "train").usable, TWO, 0, "train").batch(0, 4):
        for frame, mask in zip(clip.frames, clip.mask, strict=True):
            labels = np.asarray(Image.open(clip.referral.video.annotations / f"{frame:05d}.png"))
            assert np.array_equal(mask, labels == int(clip.referral.expression.object_id))


def test_short_ends_of_videos_are_left_out_and_vdit_clips_vary(shapes):
    usable = find_referrals(shapes, "train").usable
    assert {c.frames for c in ClipDraws(usable, TWO, 0, "train").batch(0, 20)} == {(0, 1)}  # never (2,)
    assert {c.frames for c in ClipDraws(usable, ClipSampling(frames=9), 0, "train").batch(0, 9)} == {(0, 1, 2)}
    drawn = ClipDraws(usable, ClipSampling(kind="vdit", frames=3), 0, "train").batch(0, 30)
    assert len({c.frames for c in drawn}) > 1


def test_what_cannot_be_used_is_counted(changed, shapes):
    def edit(videos):
        first, second = videos.values()
        first["expressions"]["97"] = {"exp": "of nobody"}
        second["expressions"] |= {"98": {"exp": "x", "obj_id": "cat"}, "99": {"exp": "y", "obj_id": "300"}}

    found = find_referrals(changed(edit), "train")
    assert found.unlabelled == 1
    assert [f.where.rpartition("/")[2] for f in found.failures] == ["98", "99"]
    assert "its obj_id 'cat' is no label of a mask; labels are 1 to 254" in found.failures[0].error
    assert len(found.usable) == len(find_referrals(shapes, "train").usable)
    folder = changed(lambda videos: [video.update(expressions={}) for video in videos.values()])
    shutil.rmtree(folder / "train" / "Annotations" / found.usable[0].video.id)
    with pytest.raises(DataError, match=r"'train' of .* has no expression with a mask \(without masks: 1 videos"):
        find_referrals(folder, "train")
    with pytest.raises(ConfigError, match="no split 'trian'; did you mean 'train'"):
        find_referrals(folder, "trian")


def test_an_object_that_is_absent_from_the_clip_is_drawn_again_and_counted(changed):
    folder = changed(lambda videos: next(iter(videos.values()))["expressions"]["0"].update(obj_id="99"))
    usable = find_referrals(folder, "train").usable
    draws = ClipDraws(usable, TWO, 0, "train")
    clips = draws.batch(0, len(usable))
    assert draws.absent >= 1
    assert all(clip.mask.any() for clip in clips)

    def all_absent(videos):
        for video in videos.values():
            for expression in video["expressions"].values():
                expression["obj_id"] = "99"

    usable = find_referrals(changed(all_absent), "train").usable
    with pytest.raises(DataError, match=r"20 clips in a row never show .* do its masks hold obj_id \(99\)") as caught:
        ClipDraws(usable, TWO, 0, "train").batch(0, 1)
    assert "\n" not in str(caught.value)


def test_the_digest_tells_what_is_drawn_from(shapes, changed):
    one = find_referrals(shapes, "train").digest
    assert find_referrals(changed(lambda videos: None), "train").digest == one
    folder = changed(lambda videos: next(iter(videos.values()))["expressions"]["0"].update(exp="another text"))
    assert find_referrals(folder, "train").digest != one
