import json

import pytest

from vdprobe.data.moving_shapes import make_video
from vdprobe.data.write_video import write_video


@pytest.fixture(scope="session")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    frames = make_video("train", 0, frames=4, side=96).rendering.frames[:, :64]
    write_video(frames, folder / "scene.mp4")
    (folder / "texts.json").write_text(json.dumps({"scene": ["the object moving up", "a ring"]}))
    return folder


@pytest.fixture
def arguments(scene, tmp_path):
    """Options of a small extraction."""
    return [
        *("--videos", scene / "scene.mp4", "--expressions", scene / "texts.json", "--model", "random:tiny"),
        *("--tap", "unet.down.0,vae.down.2", "--store", tmp_path / "store", "--device", "cpu"),
        *("--set", "resize.short_side=64"),
    ]
