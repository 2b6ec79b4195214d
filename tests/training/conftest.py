import pytest
from head_things import head_config

from vdprobe.data.moving_shapes.write import write_moving_shapes
from vdprobe.specs.load import merge
from vdprobe.training.config import parse_training_config
from vdprobe.training.head_data import HeadPlans


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """Two videos to train on and two to measure, of three frames each."""
    folder = tmp_path_factory.mktemp("data") / "shapes"
    write_moving_shapes(folder, {"train": 2, "val": 2}, frames=3, side=32)
    return folder


@pytest.fixture
def configure(shapes):
    """A small configuration, with changes."""

    def make(**changes):
        values = {
            "model": {"pipeline": "random:tiny", "device": "cpu"},
            "videos": {"path": str(shapes)},
            "clips": {"frames": 2},
            "resize": {"short_side": 32, "long_side": None},
            "steps": 3,
            "batch_size": 2,
        }
        return parse_training_config(merge(values, changes))

    return make


@pytest.fixture(scope="session")
def pixels(shapes, tmp_path_factory):
    """A store with raw pixels as features of `shapes`, upright and mirrored."""
    folder = tmp_path_factory.mktemp("pixels")
    HeadPlans.make(head_config(shapes, folder, views=[{"flip": True}], val_split="val")).extract()
    return folder


@pytest.fixture
def configure_head(shapes, pixels):
    """A small configuration whose features are there, with changes."""
    return lambda **changes: head_config(shapes, pixels, **changes)
