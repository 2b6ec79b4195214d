"""Several writers, and writers that are killed at a moment that each of them says it has come to."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from store_things import make_spec, numbered

from vdprobe.store.check import clean_leftovers, repair, verify
from vdprobe.store.store import FeatureStore

SCRIPT = Path(__file__).with_name("store_things.py")
MOMENTS = {
    "the folder is made": (1, 1),
    "some files are written": (1, 1),
    "all files but the record are written": (1, 1),
    "the record is written": (1, 1),
    "all is on the disk": (1, 1),
    "it has its name": (0, 2),
    "it is done": (0, 2),
}
"""The moments at which `store_things.py` stops; what is then in the temporary folder, and how many items there are."""


def start(store: FeatureStore, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), str(store.root), *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def check_items(store: FeatureStore) -> set[int]:
    """Which numbered items are there, after comparing every value."""
    spec = make_spec()
    found = set()
    for stored in store.items() if store.specs() else ():
        n = int(stored.item.video.split()[1])
        item, features = numbered(n)
        assert stored.item == item
        for tap, values in features.items():
            for t, timestep in enumerate(spec.timesteps):
                np.testing.assert_array_equal(stored.read(tap, timestep), values[t])
        found.add(n)
    return found


def lines_until(process: subprocess.Popen[str], last: str) -> list[str]:
    assert process.stdout is not None
    lines = []
    while not lines or lines[-1] != last:
        line = process.stdout.readline()
        assert line, f"it ended before it said '{last}'"
        lines.append(line.rstrip("\n"))
    return lines


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_writers_leave_only_whole_items(store, moment):
    half_done, whole = MOMENTS[moment]
    process = start(store, 0, 3, 1, moment)  # it stops in the middle of its second item
    lines_until(process, f"stopped: {moment}")
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    assert len(list((store.root / "tmp").iterdir())) == half_done
    assert list(verify(store)) == []
    assert check_items(store) == set(range(whole))
    assert len(clean_leftovers(store)) == half_done
    assert list((store.root / "tmp").iterdir()) == []
    assert repair(store) == []
    start(store, 0, 3, 1).communicate()
    assert check_items(store) == {0, 1, 2}


def test_two_processes_write_the_same_items(store):
    running = [start(store, 0, 25, 1), start(store, 24, -1, -1), start(store, 0, 25, 1)]
    said = [process.communicate()[0].splitlines() for process in running]
    assert [p.returncode for p in running] == [0, 0, 0]
    wins = [line.split()[0] for lines in said for line in lines if line.endswith("True")]
    assert sorted(wins, key=int) == [str(n) for n in range(25)]  # each committed by exactly one
    assert check_items(store) == set(range(25))
    assert list(verify(store)) == []
    assert list((store.root / "tmp").iterdir()) == []


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_living_writer_is_left_alone(store, moment):
    process = start(store, 0, 3, 1, moment)
    lines_until(process, f"stopped: {moment}")
    assert clean_leftovers(store) == [] and repair(store) == []
    said, _ = process.communicate("go on\n")
    assert said.splitlines()[-1] == "2 True" and process.returncode == 0
    assert check_items(store) == {0, 1, 2}
