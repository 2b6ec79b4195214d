import json
from pathlib import Path

import pytest

from vdprobe.data.moving_shapes import make_video
from vdprobe.data.write_video import write_video
from vdprobe.extraction.config import parse_config
from vdprobe.extraction.plan import make_plan
from vdprobe.extraction.run import extract
from vdprobe.specs.load import merge
from vdprobe.store.store import FeatureStore


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    """Two short videos with two texts each."""
    folder = tmp_path_factory.mktemp("videos")
    for index, name in enumerate(("a", "b")):
        frames = make_video("train", index, frames=4, side=96).rendering.frames[:, :64]
        write_video(frames, folder / f"{name}.mp4")
    (folder / "texts.json").write_text(json.dumps({name: ["the object moving up", "a ring"] for name in ("a", "b")}))
    return folder


@pytest.fixture
def configure(videos, tmp_path):
    """A small configuration, with changes."""

    def make(**changes):
        values = {
            "model": {"pipeline": "random:tiny", "device": "cpu"},
            "videos": {"path": str(videos), "expressions": str(videos / "texts.json")},
            "clips": {"kind": "windows", "frames": 2},
            "resize": {"short_side": 64, "long_side": None},
            "taps": ["unet.down.0", "vae.down.2"],
            "store": {"path": str(tmp_path / "store")},
        }
        return parse_config(merge(values, changes))

    return make


@pytest.fixture
def run():
    """Extracts and gives (store, plan, report)."""

    def go(config, shard=None):
        plan = make_plan(config, shard or (0, 1))
        store = FeatureStore.create(Path(config.store.path))
        return store, plan, extract(plan, store)

    return go


@pytest.fixture
def contents():
    """All values of a store: (spec, item, tap) to bytes."""

    def read(store):
        return {
            (stored.spec_key, stored.path.name, tap): stored.raw(tap, t).tobytes()
            for stored in store.items()
            for tap in stored.taps
            for t in (stored.attrs["timesteps"] or [None])
        }

    return read
