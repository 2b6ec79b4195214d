"""Real videos with their real expressions: all conditions x all noises x two timesteps in one command."""

import json
import random
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


def extract(spec, store, **options):
    command = [sys.executable, "-m", "vdprobe", "extract", str(spec), "--store", str(store), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


@pytest.mark.slow
def test_the_grid_killed_and_resumed_equals_the_grid_uninterrupted(contents, tmp_path):
    spec = tmp_path / "grid.yaml"
    spec.write_text(json.dumps(GRID))
    whole = json.loads(extract(spec, tmp_path / "whole").communicate()[0])
    texts = 4 + 4
    assert whole["items"] == whole["written"] == 2 + 2 * 4 + texts * 12
    assert whole["failures"] == []
    moments = random.Random(0)
    for _ in range(3):
        process = extract(spec, tmp_path / "torn")
        try:
            process.communicate(timeout=4 + moments.uniform(0, whole["seconds"] / 2))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
    last = json.loads(extract(spec, tmp_path / "torn").communicate()[0])
    assert last["failures"] == []
    torn = FeatureStore.open(tmp_path / "torn")
    assert contents(torn) == contents(FeatureStore.open(tmp_path / "whole"))
    assert list(verify(torn)) == []
    assert json.loads(extract(spec, tmp_path / "torn").communicate()[0])["forwards"] == 0
