"""Real videos with their real expressions: all conditions x all noises x two timesteps in one command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vdprobe.store.check import verify
from vdprobe.store.store import FeatureStore

DAVIS = Path(__file__).parents[2] / "../shared/davis"
pytestmark = pytest.mark.skipif(not DAVIS.is_dir(), reason="no copy of DAVIS at ../shared/davis")

GRID = {
    "model": {"pipeline": "random:tiny", "adapter": "random:0", "device": "cpu"},
    "videos": {"path": str(DAVIS), "only": ["dog", "car-shadow"]},
    "clips": {"kind": "vdit", "frames": 5},
    "resize": {"short_side": 64, "long_side": None},
    "taps": ["vd-it"],
    "conditions": ["vd-i", "vd-t", "vd-it", "concat"],
    "noises": ["none", "gaussian", "frame-shared", "predicted"],
    "timesteps": [0, "sigma=1.0"],
}


STOPPING = """
import sys
from vdprobe.cli.main import main
from vdprobe.store.store import FeatureStore

write, left = FeatureStore.write, [int(sys.argv.pop(1))]

def count(self, *args, **kwargs):
    if left[0] == 0:
        print("stopped", flush=True)
        sys.stdin.readline()
    left[0] -= 1
    return write(self, *args, **kwargs)

FeatureStore.write = count
main()
"""
"""`vdprobe`, which stops before it writes the item of the number that is its first argument."""


def extract(spec, store):
    command = [sys.executable, "-m", "vdprobe", "extract", str(spec), "--store", str(store), "--json"]
    return json.loads(subprocess.run(command, capture_output=True).stdout)


def extract_and_die(spec, store, items):
    """Killed once so many items are written, while the next is in its hands."""
    command = [sys.executable, "-c", STOPPING, str(items), "extract", str(spec), "--store", str(store)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout.readline() == b"stopped\n"
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_the_grid_killed_and_resumed_equals_the_grid_uninterrupted(contents, tmp_path):
    spec = tmp_path / "grid.yaml"
    spec.write_text(json.dumps(GRID))
    whole = extract(spec, tmp_path / "whole")
    texts = 4 + 4
    assert whole["items"] == whole["written"] == 2 + 2 * 4 + texts * 12
    assert whole["failures"] == []
    for done, items in ((7, 7), (7 + 20, 20), (7 + 20 + 31, 31)):
        extract_and_die(spec, tmp_path / "torn", items)
        assert len(list(FeatureStore.open(tmp_path / "torn").items())) == done
    last = extract(spec, tmp_path / "torn")
    assert (last["failures"], last["already"]) == ([], 58)
    torn = FeatureStore.open(tmp_path / "torn")
    assert contents(torn) == contents(FeatureStore.open(tmp_path / "whole"))
    assert list(verify(torn)) == []
    assert extract(spec, tmp_path / "torn")["forwards"] == 0
