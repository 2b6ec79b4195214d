import h5py
import numpy as np
import pytest
from published import box, write_a2d, write_json

from vdprobe.data.frames import FrameReader, count_frames
from vdprobe.data.masks import read_object_mask
from vdprobe.data.sources import find_videos
from vdprobe.errors import ConfigError, DataError

TRAIN = "a2d_sentences_single_frame_train_annotations.json"


@pytest.fixture
def a2d(tmp_path):
    return write_a2d(tmp_path / "a2d_sentences")


def test_samples_with_their_annotated_frame(a2d):
    (video,) = find_videos(a2d, split="train").videos
    assert (video.id, video.source.name, count_frames(video)) == ("vA", "vA.mp4", 6)
    assert [(f"v_vA_{e.id}", e.text, e.object_id, e.frame) for e in video.expressions] == [
        ("v_vA_f_2_i_0", "a Ball rolling", "0", 1),
        ("v_vA_f_2_i_2", "a cat jumping", "2", 1),
        ("v_vA_f_5_i_2", "a cat jumping", "2", 4),
    ]
    # (instance, width, height) of two, (width, height) of one
    masks = [read_object_mask(video, e.object_ids, (e.frame,))[0] for e in video.expressions]
    for mask, expected in zip(masks, (box(3, 4, 48, 64), box(5, 6, 48, 64), box(5, 6, 48, 64)), strict=True):
        assert np.array_equal(mask, expected)
    with FrameReader(video) as reader:
        assert reader.read((1,)).shape[1:3] == masks[0].shape
    (other,) = find_videos(a2d, layout="a2d", split="test").videos
    assert [e.id for e in other.expressions] == ["f_1_i_1"]
    with pytest.raises(
        ConfigError, match=r"no a2d_sentences_single_frame_valid_annotations\.json; .*valid: train, test"
    ):
        find_videos(a2d)


def test_frames_without_annotation_and_unknown_instances(a2d):
    (video,) = find_videos(a2d, split="train").videos
    with pytest.raises(DataError, match=r"no mask .*00001\.h5: frame 1 is not annotated"):
        read_object_mask(video, ("0",), (0,))
    with pytest.raises(DataError, match=r"00005\.h5 has no mask of instance 0, it has 2 \(1 masks\)"):
        read_object_mask(video, ("0",), (4,))
    path = video.annotations.folder / "00005.h5"
    with h5py.File(path, "a") as file:  # as A2D itself publishes them
        del file["instance"]
    with pytest.raises(DataError, match=r"00005\.h5 has no 'instance' and 'reMask' to read"):
        read_object_mask(video, ("2",), (4,))
    path.write_bytes(b"no hdf5")
    with pytest.raises(DataError, match=r"00005\.h5 has no 'instance' and 'reMask' to read"):
        read_object_mask(video, ("2",), (4,))
    with h5py.File(video.annotations.folder / "00002.h5", "a") as file:
        masks = file["reMask"][()]
        del file["reMask"]
        file["reMask"] = np.swapaxes(masks, 1, 2)  # turned back by a conversion
    with pytest.raises(DataError, match="in frame 1 of video 'vA' is 48x64 pixels and its frame is 64x48"):
        read_object_mask(video, ("2",), (1,))


def test_what_cannot_be_used(a2d):
    rows = [
        ["a ball", "vA", 2, 0], ["again", "vA", 2, 0], ["a dog", "vC", 1, 1], ["a dog", "vA", "2", 1],
        ["a dog", "vA", 0, 1], ["a dog", "vA", 1], [" ", "vA", 5, 2],
    ]  # fmt: skip
    write_json(a2d / TRAIN, rows)
    found = find_videos(a2d, split="train")
    assert [e.id for e in found.videos[0].expressions] == ["f_2_i_0"]
    errors = {failure.where: failure.error for failure in found.failures}
    assert list(errors) == ["samples/3", "samples/4", "samples/5", "vA/f_2_i_0", "vA/f_5_i_2", "vC"]
    assert "is no [text, video, frame from 1 on, instance]: ['a dog', 'vA', '2', 1]" in errors["samples/3"]
    assert "the sample v_vA_f_2_i_0 stands twice" in errors["vA/f_2_i_0"]
    assert "there is no clip" in errors["vC"]
    write_json(a2d / TRAIN, {"rows": rows})
    with pytest.raises(DataError, match="holds no list of samples"):
        find_videos(a2d, split="train")


def test_where_clips_are_looked_for(a2d):
    (a2d / "Release" / "clips320H").rename(a2d / "Release" / "CLIPS320")
    assert len(find_videos(a2d, split="train").videos) == 1
    (a2d / "Release" / "CLIPS320").rename(a2d / "Release" / "Clips")
    with pytest.raises(DataError, match=r"no clips \(looked for Release/clips320H and Release/CLIPS320\)"):
        find_videos(a2d, split="train")
