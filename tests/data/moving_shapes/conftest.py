import pytest

from vdprobe.data.moving_shapes import make_video

COUNTS = {"train": 80, "val": 120, "test": 40, "held-out": 60, "easy-train": 40, "easy-val": 80, "easy-held-out": 40}


@pytest.fixture(scope="session")
def shapes():
    """Videos of every split."""
    return {split: [make_video(split, index) for index in range(count)] for split, count in COUNTS.items()}


@pytest.fixture(scope="session")
def all_shapes(shapes):
    return [video for videos in shapes.values() for video in videos]
