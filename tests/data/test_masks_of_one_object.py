"""Masks of 0 and 255 alone, as DAVIS published them in 2016."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from synthetic_media import write_frames, write_video

from vdprobe.data.check_dataset import check_dataset
from vdprobe.data.masks import read_labels, read_object_mask, shows_one_object
from vdprobe.data.sources import find_videos
from vdprobe.data.video import Video
from vdprobe.errors import DataError

SHARED = Path(__file__).parents[2] / "../shared/davis"
NAMES = ("00000.jpg", "00001.jpg", "00002.jpg")


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """A video whose masks hold the values that are given for each frame; a folder of its own for each."""
    frames = write_frames(tmp_path_factory.mktemp("frames") / "dog", suffix=".jpg")

    def write(*values):
        folder = tmp_path_factory.mktemp("masks")
        for name, here in zip(NAMES, values, strict=True):
            labels = np.zeros((12, 16), np.uint8)
            labels.flat[: len(here)] = here
            Image.fromarray(labels).save(folder / f"{Path(name).stem}.png")
        return Video("dog", frames, NAMES, (), folder)

    return write


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.sampled_from([0, 1, 2, 254, 255]), max_size=3), min_size=3, max_size=3))
def test_255_is_object_1_only_where_no_mask_of_the_video_holds_another_value(make, values):
    video = make(*values)
    held = {value for frame in values for value in frame} - {0}
    assert shows_one_object(video) == (held == {255})
    for index, here in enumerate(values):
        labels = read_labels(video, (index,))
        expected = [1 if held == {255} and value else value for value in here]
        assert labels.flat[: len(here)].tolist() == expected
        assert read_object_mask(video, ("1",), (index,)).sum() == expected.count(1)


def test_a_later_mask_decides_for_the_first(make):
    """One frame may show void alone, beside nothing."""
    video = make([255], [], [2, 255])
    assert read_labels(video, (0,)).max() == 255
    assert not read_object_mask(video, ("1",), (0,)).any()


def test_masks_that_are_missing_or_damaged_do_not_decide(make):
    video = make([255], [255], [3])
    (video.annotations / "00002.png").write_bytes(b"no png")
    (video.annotations / "00001.png").unlink()
    assert read_labels(video, (0,)).max() == 1
    with pytest.raises(DataError, match=r"00002\.png is not a PNG"):
        read_labels(video, (2,))
    Image.new("RGB", (16, 12), "white").save(video.annotations / "00001.png")
    assert shows_one_object(video)


def test_masks_of_a_video_file(tmp_path):
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "dog.mp4", 2)
    for index in range(2):
        path = tmp_path / "masks" / "dog" / f"{index:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((48, 64), 255, np.uint8)).save(path)
    (video,) = find_videos(tmp_path / "videos", masks=tmp_path / "masks").videos
    assert read_object_mask(video, ("1",), (1,)).all()
    assert not shows_one_object(Video("dog", video.source))


@pytest.mark.skipif(not SHARED.is_dir(), reason="no copy of DAVIS at ../shared/davis")
def test_real_masks():
    shown = {}
    for video in find_videos(SHARED / "JPEGImages/480p", masks=SHARED / "Annotations/480p").videos:
        labels = read_labels(video, (0,))
        shown[video.id] = shows_one_object(video), int(labels.max())
    assert shown == {
        **dict.fromkeys(["car-shadow", "dog", "rollerblade", "surf"], (True, 1)),
        "schoolgirls": (False, 7),
    }
    (check,) = check_dataset(SHARED, layout="ref-davis")
    findings = {finding.what: finding.count for finding in check.findings}
    assert findings["videos whose masks hold 0 and 255 alone"] == 2
    assert "objects that are in no mask" not in findings
