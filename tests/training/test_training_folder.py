"""The folder of a training belongs to one process at a time."""

import pytest

from vdprobe.data.hold import LOCK, hold
from vdprobe.errors import DataError
from vdprobe.training.adapter_training import train_adapter
from vdprobe.training.head_training import train_head


def test_a_training_in_a_folder_that_is_held_is_refused(configure, configure_head, tmp_path):
    out = tmp_path / "out"
    with hold(out):
        for train, config in ((train_adapter, configure(steps=1)), (train_head, configure_head(steps=1))):
            with pytest.raises(DataError, match=r"works in .*out already: wait for that to end"):
                train(config, out)
        assert [path.name for path in out.iterdir()] == [LOCK]
    train_head(configure_head(steps=1), out)
