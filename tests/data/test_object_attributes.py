import json

import pytest

from vdprobe.data.moving_shapes import make_video
from vdprobe.data.moving_shapes.write import write_moving_shapes
from vdprobe.data.object_attributes import object_attributes
from vdprobe.data.sources import find_videos
from vdprobe.data.video import Video
from vdprobe.errors import DataError


@pytest.fixture
def folder(tmp_path):
    write_moving_shapes(tmp_path / "shapes", {"val": 2}, frames=2, side=32)
    return tmp_path / "shapes"


def test_what_objects_of_moving_shapes_look_like(folder):
    found = find_videos(folder, split="val").videos
    made = [make_video("val", number, frames=2, side=32) for number in range(2)]
    for video, truth in zip(found, made, strict=True):
        said = object_attributes(video)
        assert said
        for id, words in said.items():
            thing = truth.scene.objects[int(id) - 1]
            assert words == {
                "category": thing.shape,
                "colour": thing.colour,
                "texture": thing.texture,
                "size": thing.size,
            }


def test_a_dataset_without_words(folder):
    video = find_videos(folder, split="val").videos[0]
    (folder / "val" / "meta.json").write_text(json.dumps({"videos": {"another": {"objects": {}}}}))
    assert object_attributes(video) == {}
    (folder / "val" / "meta.json").unlink()
    assert object_attributes(video) == {}
    assert object_attributes(Video("a", folder)) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], r'does not hold \{"videos": \{...\}\}; fetch the file again'),
        ({"videos": {"val-00000": ["1"]}}, "the entry of video 'val-00000' holds no objects; fetch the file again"),
        ({"videos": {"val-00000": {}}}, "the entry of video 'val-00000' holds no objects; fetch the file again"),
    ],
)
def test_a_file_of_another_kind(folder, content, message):
    (folder / "val" / "meta.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        object_attributes(find_videos(folder, split="val").videos[0])
