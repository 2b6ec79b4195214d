"""Real videos of DAVIS, where a copy lies beside the checkout."""

from pathlib import Path

import pytest

from vdprobe.data.frames import FrameReader, count_frames
from vdprobe.data.resize import prepare_frames
from vdprobe.data.sources import find_videos
from vdprobe.specs.video import Resize

DAVIS = Path(__file__).parents[2] / "../shared/davis"
pytestmark = pytest.mark.skipif(not DAVIS.is_dir(), reason="no copy of DAVIS at ../shared/davis")


def test_ref_davis_names_what_is_missing():
    found = find_videos(DAVIS, layout="auto")
    assert [(v.id, count_frames(v), len(v.expressions)) for v in found.videos] == [
        ("car-shadow", 40, 4),
        ("dog", 60, 4),
    ]
    assert len(found.failures) == 28
    assert all("no frames on disk" in failure.error for failure in found.failures)
    dog = found.videos[1]
    assert dog.expressions[3].text == "a dog looking for something "
    assert {e.object_id for e in dog.expressions} == {"1"}


def test_frames_of_all_videos_can_be_read_and_prepared():
    found = find_videos(DAVIS / "JPEGImages/480p", layout="auto")
    assert found.failures == ()
    shapes = {}
    for video in found.videos:
        with FrameReader(video) as reader:
            frames = reader.read([reader.num_frames - 1])
            assert reader.notes == ()
        shapes[video.id] = (reader.num_frames, *prepare_frames(frames, Resize()).pixels.shape)
    assert shapes["dog"] == (60, 1, 3, 368, 640)
    assert shapes["schoolgirls"] == (80, 1, 3, 368, 640)
    assert {id: shape[0] for id, shape in shapes.items()} == {
        "car-shadow": 40, "dog": 60, "rollerblade": 35, "schoolgirls": 80, "surf": 55,
    }  # fmt: skip
