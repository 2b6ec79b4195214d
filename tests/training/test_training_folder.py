"""The folder of a training belongs to one process at a time."""

import subprocess
import sys

import pytest

from vdprobe.errors import TrainingError
from vdprobe.training.adapter_training import train_adapter
from vdprobe.training.checkpoint import hold
from vdprobe.training.head_training import train_head

HOLDER = """
import sys
from pathlib import Path
from vdprobe.training.checkpoint import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holding(folder):
    """Another process that holds the folder until it is killed."""
    command = [sys.executable, "-c", HOLDER, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_and_a_killed_one_leaves_the_folder_free(configure, configure_head, tmp_path):
    out = tmp_path / "out"
    with holding(out) as other:
        for train, config in ((train_adapter, configure(steps=1)), (train_head, configure_head(steps=1))):
            with pytest.raises(
                TrainingError,
                match=rf"another process trains in .*out \(process {other.pid} on .+\): wait for it, or give another",
            ):
                train(config, out)
        assert [path.name for path in out.iterdir()] == ["training.lock"]
        other.kill()
    train_head(configure_head(steps=1), out)
    with hold(out):
        pass


def test_a_file_system_without_locks_is_trusted(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.lockf", unsupported)
    with hold(tmp_path / "out"):
        assert (tmp_path / "out").is_dir()
