"""The folder that a command writes into is one process's at a time, whatever the command."""

import json
import subprocess
import sys
import threading

import pytest
from tiny_head import tiny_head

from vdprobe.data import hold as hold_module
from vdprobe.data.hold import LOCK, hold
from vdprobe.errors import DataError

HOLDER = """
import sys
from pathlib import Path
from vdprobe.data.hold import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that works in the folder `out`, until it is killed."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "out")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def commands(folder, scene, arguments, published):
    """A command line of every kind that writes into `out`, by its name."""
    published.write_davis17(folder / "davis")
    (folder / "study.yaml").write_text(
        json.dumps({"title": "t", "steps": {"a": {"do": "compare", "config": {"evaluations": {}, "metrics": []}}}})
    )
    figures = folder / "figured"
    figures.mkdir()
    head = tiny_head(folder / "head")
    videos = ("--videos", scene / "scene.mp4")
    return {
        "sample": ("sample", "a dog", "--model", "random:tiny"),
        "predict": ("predict", head, *videos, "--model", "random:tiny"),
        "consistency": ("analyze", "consistency", *videos, "--model", "random:tiny"),
        "stability": ("analyze", "stability", *videos, "--set", f"predictions.a={folder}"),
        "run": ("run", folder / "study.yaml"),
        "evaluate": ("evaluate", folder / "davis", "--protocol", "davis-semi", "--dataset", folder / "davis"),
        "demo": ("demo",),
    }


@pytest.mark.parametrize("name", ["sample", "predict", "consistency", "stability", "run", "evaluate", "demo"])
def test_a_second_process_is_refused(vdprobe, other, tmp_path, scene, arguments, published, name):
    command = commands(tmp_path, scene, arguments, published)[name]
    status, _, err = vdprobe(*command, "--out", tmp_path / "out")
    last = err.splitlines()[-1]
    assert last == (
        f"error: another process works in {tmp_path / 'out'} ({(tmp_path / 'out' / LOCK).read_text()}): "
        "wait for it to end, or give another --out"
    )
    assert f"process {other.pid} on " in last
    assert status == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == [LOCK]


def test_a_dataset_is_made_by_one_process(vdprobe, other, tmp_path):
    status, _, err = vdprobe("datasets", "make", tmp_path / "out", "--val", 1, "--frames", 2, "--side", 16)
    assert (status, err.count("\n")) == (1, 1)
    assert "another process works in" in err
    other.kill()
    other.wait()
    assert vdprobe("datasets", "make", tmp_path / "out", "--val", 1, "--frames", 2, "--side", 16)[0] == 0


def test_a_killed_process_leaves_the_folder_free(other, tmp_path):
    with pytest.raises(DataError, match="another process works in"), hold(tmp_path / "out"):
        pass
    other.kill()
    other.wait()
    with hold(tmp_path / "out"):
        pass


def test_a_failed_command_leaves_no_folder_that_it_made(tmp_path):
    def fail(out):
        with hold(out):
            raise DataError("it broke")

    (tmp_path / "mine").mkdir()
    for name in ("new", "mine"):
        with pytest.raises(DataError, match="it broke"):
            fail(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert not list((tmp_path / "mine").iterdir())
    with hold(tmp_path / "new"):
        (tmp_path / "new" / "file").touch()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


def test_a_thread_of_the_same_process_is_refused_too(tmp_path):
    said = []

    def second():
        try:
            with hold(tmp_path / "out"):
                said.append("held")
        except DataError as error:
            said.append(str(error))

    with hold(tmp_path / "out"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        assert said[0].startswith(f"this process works in {tmp_path / 'out'} already")
        # and the first hold has kept its lock
        found = subprocess.run([sys.executable, "-c", HOLDER, str(tmp_path / "out")], capture_output=True, text=True)
        assert "another process works in" in found.stderr


def test_a_lock_that_was_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    """Its last holder removes the folder that it made between our opening the file and locking it."""
    out, take, taken = tmp_path / "out", hold_module._take, []

    def take_late(folder, file):
        if not taken:
            (out / LOCK).unlink()
            out.rmdir()
        taken.append(file)
        take(folder, file)

    monkeypatch.setattr(hold_module, "_take", take_late)
    with hold(out):
        assert (out / LOCK).exists()
    assert len(taken) == 2


def test_a_file_system_without_locks_is_trusted(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.lockf", unsupported)
    with hold(tmp_path / "out"):
        assert (tmp_path / "out").is_dir()


@pytest.mark.parametrize("blocked", ["a file above it", "a folder in the lock's place"])
def test_a_folder_that_cannot_be_worked_in_is_one_line(tmp_path, blocked):
    out = tmp_path / "out"
    if blocked == "a file above it":
        out.write_text("")
        out = out / "inner"
    else:
        (out / LOCK).mkdir(parents=True)
    with pytest.raises(DataError, match=r"cannot .* the folder .*; give another --out"), hold(out):
        pass
