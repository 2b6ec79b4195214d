import json
import sys

import pytest

from vdprobe.cli.main import main
from vdprobe.data.toy_scene import EXPRESSIONS, draw_toy_scene, write_video


@pytest.fixture
def vdprobe(monkeypatch, capsys):
    """Runs the command as a user types it; gives (exit status, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["vdprobe", *map(str, arguments)])
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture(scope="session")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    write_video(draw_toy_scene(frames=4, height=64, width=96), folder / "scene.mp4")
    (folder / "texts.json").write_text(json.dumps({"scene": list(EXPRESSIONS)}))
    return folder


@pytest.fixture
def arguments(scene, tmp_path):
    """Options of a small extraction."""
    return [
        *("--videos", scene / "scene.mp4", "--expressions", scene / "texts.json", "--model", "random:tiny"),
        *("--tap", "unet.down.0,vae.down.2", "--store", tmp_path / "store", "--device", "cpu"),
        *("--set", "resize.short_side=64"),
    ]
