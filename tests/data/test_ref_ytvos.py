import json
import shutil

import numpy as np
import pytest
from PIL import Image
from published import STEMS, box, write_json, write_ytvos

from vdprobe.data.masks import read_labels, read_object_mask
from vdprobe.data.sources import find_videos
from vdprobe.errors import DataError


@pytest.fixture
def ytvos(tmp_path):
    return write_ytvos(tmp_path / "ref-youtube-vos")


def test_train_has_targets_and_masks(ytvos):
    (video,) = find_videos(ytvos, layout="ref-ytvos", split="train").videos
    assert video.frame_names == tuple(f"{stem}.jpg" for stem in STEMS)
    assert [(e.id, e.object_ids, e.object_id) for e in video.expressions] == [
        ("0", ("1",), "1"), ("1", ("1",), "1"), ("2", ("2",), "2"), ("3", ("2",), "2"),
    ]  # fmt: skip
    mask = read_object_mask(video, video.expressions[2].object_ids, (0, 2))
    assert np.array_equal(mask, np.stack([box(0, 7), box(2, 7)]))
    both = read_object_mask(video, ("1", "2"), (1,))[0]
    assert np.array_equal(both, read_labels(video, (1,))[0] > 0)
    assert not read_object_mask(video, (), (0, 1)).any()


def test_valid_is_without_the_videos_of_test(ytvos):
    found = find_videos(ytvos, layout="auto")
    assert [video.id for video in found.videos] == ["0062f687f1", "00f88c4f0a"]
    assert found.failures == ()
    assert {e.object_ids for video in found.videos for e in video.expressions} == {None}
    with pytest.raises(DataError, match="has no masks"):
        read_object_mask(found.videos[0], ("1",), (0,))
    # the file of test is gone from the official site: then all that valid lists is taken
    shutil.rmtree(ytvos / "meta_expressions" / "test")
    assert len(find_videos(ytvos, split="valid").videos) == 3


def test_the_authors_newer_file(ytvos):
    objects = {
        "10": {"category": "dog", "expressions": ["c"], "expressions_first_frame": ["d"], "frames": STEMS[:1]},
        "2": {"category": "cat", "expressions": ["a", " "], "expressions_first_frame": ["b"], "frames": STEMS},
    }
    newer = {"videos": {"003234408d": {"objects": objects}, "gone": {"objects": objects}, "odd": {"objects": ["a"]}}}
    write_json(ytvos / "meta_expressions" / "train" / "meta_expressions.json", newer)
    (ytvos / "train" / "JPEGImages" / "odd").mkdir()
    shutil.copy(ytvos / "train/JPEGImages/003234408d/00000.jpg", ytvos / "train/JPEGImages/odd")
    found = find_videos(ytvos, split="train")
    (video,) = found.videos
    assert len(video.frame_names) == 3
    assert [(e.id, e.text, e.object_id) for e in video.expressions] == [
        ("0", "a", "2"), ("2", "b", "2"), ("3", "c", "10"), ("4", "d", "10"),
    ]  # fmt: skip
    errors = {failure.where: failure.error for failure in found.failures}
    assert list(errors) == ["003234408d/1", "gone", "odd"]
    assert "there is no folder" in errors["gone"]
    assert "its 'objects' are no mapping" in errors["odd"]


def test_an_extra_folder_level_is_named(ytvos):
    with pytest.raises(DataError, match=r"is a folder above the dataset; give .*ref-youtube-vos, which .* ref-davis"):
        find_videos(ytvos.parent)
    with pytest.raises(DataError, match=r"cannot tell what .*meta_expressions holds: it fits no layout"):
        find_videos(ytvos / "meta_expressions")  # and not MeViS, whose splits hold a file of this name


def test_an_object_id_of_another_type(ytvos):
    file = ytvos / "meta_expressions" / "train" / "meta_expressions.json"
    value = json.loads(file.read_text())
    expressions = value["videos"]["003234408d"]["expressions"]
    expressions["0"]["obj_id"], expressions["1"]["obj_id"], expressions["2"]["obj_id"] = 1, [1], "cat"
    write_json(file, value)
    found = find_videos(ytvos, split="train")
    assert [failure.where for failure in found.failures] == ["003234408d/1"]
    one, cat, _ = found.videos[0].expressions
    assert one.object_ids == ("1",)
    for ids in (cat.object_ids, ("0",), ("255",)):
        with pytest.raises(DataError, match=f"the object id '{ids[0]}' is no label of a mask; labels are 1 to 254"):
            read_object_mask(found.videos[0], ids, (0,))


def test_masks_saved_as_colours(ytvos):
    (video,) = find_videos(ytvos, split="train").videos
    path = video.annotations / "00005.png"
    Image.open(path).convert("RGB").save(path)
    with pytest.raises(DataError, match=r"00005\.png has pixels of kind 'RGB', no index"):
        read_object_mask(video, ("1",), (1,))
