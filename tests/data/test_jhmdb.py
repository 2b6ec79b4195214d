import json

import numpy as np
import pytest
from published import box, write_jhmdb, write_json
from scipy.io import savemat

from vdprobe.data.masks import read_object_mask
from vdprobe.data.sources import find_videos
from vdprobe.errors import ConfigError, DataError

SAMPLES = "jhmdb_sentences_samples_metadata.json"


@pytest.fixture
def jhmdb(tmp_path):
    return write_jhmdb(tmp_path / "jhmdb_sentences")


def test_samples_with_their_annotated_frame(jhmdb):
    (video,) = find_videos(jhmdb, split="test").videos
    assert video.id == "Goal_catch_0"
    assert video.frame_names == ("00001.png", "00002.png", "00003.png", "00004.png")
    assert [(f"v_{video.id}_{e.id}", e.text, e.frame) for e in video.expressions] == [
        (f"v_Goal_catch_0_f_{k + 1}", "man catching a ball", k) for k in range(3)
    ]
    for k, expression in enumerate(video.expressions):
        assert np.array_equal(read_object_mask(video, expression.object_ids, (k,))[0], box(k, k + 3))
    with pytest.raises(DataError, match=r"has 3 masks of object '1', and none of '1' for frame 3"):
        read_object_mask(video, ("1",), (3,))
    with pytest.raises(ConfigError, match="JHMDB-Sentences has no split 'valid'; valid: test"):
        find_videos(jhmdb, layout="jhmdb")


def test_one_frame_is_missing(jhmdb):
    (jhmdb / "Rename_Images/catch/Goal_catch_0/00003.png").unlink()
    found = find_videos(jhmdb, split="test")
    assert found.videos == ()
    assert "1 of 4 frames are missing in" in found.failures[0].error
    assert (found.failures[0].lack, found.failures[0].count) == ("frames missing", 1)


def test_what_cannot_be_used(jhmdb):
    rows = json.loads((jhmdb / SAMPLES).read_text())
    outside = [rows[0][0], "../../etc/Rename_Images/../../00001.png", *rows[0][2:]]
    elsewhere = [*rows[1][:3], 5, rows[1][4]]
    bad = [[*rows[0][:4], " "], rows[0], rows[0], ["v", "frames/00001.png", *rows[0][2:]], rows[0][:4], outside]
    beyond = [rows[0][0], rows[0][1].replace("00001", "00009"), *rows[0][2:]]
    write_json(jhmdb / SAMPLES, [*bad, beyond, ["w", *elsewhere[1:]]])
    found = find_videos(jhmdb, split="test")
    assert [e.id for e in found.videos[0].expressions] == ["f_1"]
    errors = {failure.where: failure.error for failure in found.failures}
    assert sorted(errors) == ["Goal_catch_0/f_1", "Goal_catch_0/f_9", "samples/3", "samples/4", "samples/5", "w"]
    assert "is not one of its 4 frames" in errors["Goal_catch_0/f_9"]
    assert "sample 3 is no [video, .../Rename_Images/.../00001.png" in errors["samples/3"]
    assert "1 of 5 frames are missing" in errors["w"]
    write_json(jhmdb / SAMPLES, [rows[0], elsewhere])
    assert "name different folders" in find_videos(jhmdb, split="test").failures[0].error


def test_masks_of_another_layout_are_no_silent_zeros(jhmdb):
    (video,) = find_videos(jhmdb, split="test").videos
    file = video.annotations.file
    savemat(file, {"part_mask": np.stack([box(0, 0).T] * 3)})  # (frame, width, height)
    with pytest.raises(DataError, match="pixels and its frame is 16x12"):
        read_object_mask(video, ("1",), (0,))
    savemat(file, {"mask": np.zeros(3)})
    with pytest.raises(DataError, match=r"puppet_mask\.mat has no 'part_mask' to read"):
        read_object_mask(video, ("1",), (0,))
    file.write_bytes(b"no mat")
    with pytest.raises(DataError, match=r"puppet_mask\.mat has no 'part_mask' to read"):
        read_object_mask(video, ("1",), (0,))
    savemat(file, {"part_mask": box(1, 1)})  # one frame
    assert np.array_equal(read_object_mask(video, ("1",), (0,))[0], box(1, 1))
    file.unlink()
    assert find_videos(jhmdb, split="test").videos[0].annotations is None
