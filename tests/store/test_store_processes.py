"""Several writers, and writers that are killed."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from store_things import make_spec, numbered

from vdprobe.store.check import clean_leftovers, repair, verify
from vdprobe.store.store import FeatureStore

SCRIPT = Path(__file__).with_name("store_things.py")


def start(store: FeatureStore, *numbers: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), str(store.root), *map(str, numbers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
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


def test_killed_writers_leave_only_whole_items(store):
    chance = random.Random(0)
    seen_half_done = 0
    for _ in range(6):
        process = start(store, 0, 400, 1)
        time.sleep(chance.uniform(0.01, 0.25))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
        half_done = list((store.root / "tmp").iterdir())
        seen_half_done += len(half_done)
        assert list(verify(store)) == []
        assert len(clean_leftovers(store)) == len(half_done)
        assert list((store.root / "tmp").iterdir()) == []
    done = check_items(store)
    assert done == set(range(len(done))) and done
    assert repair(store) == []
    assert seen_half_done  # else the kills came too late to mean anything


def test_two_processes_write_the_same_items(store):
    running = [start(store, 0, 25, 1), start(store, 24, -1, -1), start(store, 0, 25, 1)]
    said = [process.communicate(timeout=60)[0].splitlines() for process in running]
    assert [p.returncode for p in running] == [0, 0, 0]
    wins = [line.split()[0] for lines in said for line in lines if line.endswith("True")]
    assert sorted(wins, key=int) == [str(n) for n in range(25)]  # each committed by exactly one
    assert check_items(store) == set(range(25))
    assert list(verify(store)) == []
    assert list((store.root / "tmp").iterdir()) == []


def test_a_living_writer_is_left_alone(store):
    process = start(store, 0, 400, 1)
    for _ in range(20):
        assert clean_leftovers(store) == []
        time.sleep(0.01)
    assert process.poll() is None
    process.kill()
    process.communicate()
