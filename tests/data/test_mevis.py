import json

import numpy as np
import pytest
from published import box, write_json, write_mevis

from vdprobe.data.masks import read_labels, read_object_mask
from vdprobe.data.sources import find_videos
from vdprobe.errors import ConfigError, DataError


@pytest.fixture
def mevis(tmp_path):
    return write_mevis(tmp_path / "mevis")


def test_expressions_mean_one_several_or_no_objects(mevis):
    (video,) = find_videos(mevis, split="valid_u").videos
    assert [(e.id, e.object_ids, e.object_id) for e in video.expressions] == [
        ("0", ("3",), "3"), ("1", ("3", "4"), None), ("2", (), None),
    ]  # fmt: skip
    one, both, none = (read_object_mask(video, e.object_ids, (0, 1, 2)) for e in video.expressions)
    assert np.array_equal(one, np.stack([box(k, 2) for k in range(3)]))
    assert np.array_equal(both, one | np.stack([box(0, 4), np.zeros_like(box(0, 0)), box(2, 4)]))
    assert none.shape == one.shape and not none.any()
    with pytest.raises(DataError, match="a pixel may belong to several: use read_object_mask"):
        read_labels(video, (0,))


def test_valid_hides_objects_and_masks(mevis):
    (video,) = find_videos(mevis, layout="mevis", split="valid").videos
    assert (video.expressions[0].object_ids, video.annotations) == (None, None)
    with pytest.raises(ConfigError, match=r"no split 'valid-u' .*; did you mean 'valid_u' or 'valid'"):
        find_videos(mevis, layout="mevis", split="valid-u")


def test_what_cannot_be_used(mevis):
    file = mevis / "valid_u" / "meta_expressions.json"
    value = json.loads(file.read_text())
    expressions = value["videos"]["8d90"]["expressions"]
    expressions["0"]["anno_id"], expressions["1"]["exp"], expressions["2"]["anno_id"] = 3, " ", ["9"]
    value["videos"]["gone"] = {"frames": ["00000"], "expressions": {}}
    value["videos"]["none"] = {"expressions": {}}
    write_json(file, value)
    found = find_videos(mevis, split="valid_u")
    errors = {failure.where: failure.error for failure in found.failures}
    assert list(errors) == ["8d90/0", "8d90/1", "gone", "none"]
    assert "expression '0' has no text 'exp' with a list 'anno_id'" in errors["8d90/0"]
    assert "has an empty text" in errors["8d90/1"]
    (video,) = found.videos
    with pytest.raises(DataError, match=r"mask_dict\.json has no mask of anno_id 9 for frame 0"):
        read_object_mask(video, ("9",), (0,))


def test_masks_that_cannot_be_used(mevis):
    file = mevis / "valid_u" / "mask_dict.json"
    masks = json.loads(file.read_text())
    masks["4"][0]["counts"] = masks["4"][0]["counts"][:-1]
    masks["3"][0]["size"] = masks["3"][0]["size"][::-1]
    masks["3"] = masks["3"][:2]
    write_json(file, masks)
    (video,) = find_videos(mevis, split="valid_u").videos
    for id, frame, message in (
        ("4", 0, "anno_id 4, frame 0: (a mask in run lengths|the run lengths do not fill)"),
        ("3", 0, "anno_id 3, frame 0: its mask is 12x16 pixels and its picture 16x12"),
        ("3", 2, "has no mask of anno_id 3 for frame 2"),
    ):
        with pytest.raises(DataError, match=message):
            read_object_mask(video, (id,), (frame,))
    with pytest.raises(DataError, match="has no frame 3; it has 3, from 0 on"):
        read_object_mask(video, ("4",), (3,))
    file.unlink()
    assert find_videos(mevis, split="valid_u").videos[0].annotations is None
