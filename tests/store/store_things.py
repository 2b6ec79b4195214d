"""Small specs, items and features, and a writer to run as a process: `store_things.py ROOT FIRST LAST STEP MOMENT`."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from vdprobe.specs.features import Condition, FeatureSpec, Item, LatentSampling, ModelIdentity, Noise
from vdprobe.specs.layer import TapPlace
from vdprobe.specs.spans import frame_spans
from vdprobe.specs.video import ClipSampling, Resize
from vdprobe.store import store as store_module
from vdprobe.store import writer
from vdprobe.store.item import StoredItem
from vdprobe.store.store import FeatureStore

TAPS = ("unet.down_blocks.0", "unet.up.1")
STRIDES = {"unet.down_blocks.0": 8, "unet.up.1": 16, "vae.down.2": 4}


def places_of(item: Item) -> dict[str, TapPlace]:
    """One map a frame in every tap."""
    return {tap: TapPlace(stride, frame_spans(len(item.frames))) for tap, stride in STRIDES.items()}


def make_spec(**changed: Any) -> FeatureSpec:
    values: dict[str, Any] = {
        "model": ModelIdentity(name="some/model", parts={"unet": "ab" * 32}),
        "taps": TAPS,
        "timesteps": (50, 261),
        "condition": Condition(kind="vd-t", form="raw"),
        "noise": Noise(kind="gaussian", seed=3),
        "latents": LatentSampling(),
        "clips": ClipSampling(),
        "resize": Resize(),
        "compute_dtype": "float32",
        "store_dtype": "float16",
    }
    return FeatureSpec(**{**values, **changed})


def make_item(video: str = "bear", *, frames: tuple[int, ...] = (0, 2, 5), text: str | None = "the bear") -> Item:
    return Item(video=video, digest="cd" * 32, frames=frames, text=text)


def make_features(spec: FeatureSpec, item: Item, *, size: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    """Normal values, a few channels; float32 when the store dtype is wider than float16."""
    rng = np.random.default_rng(seed)
    rows, frames = max(1, len(spec.timesteps)), len(item.frames)
    kind = np.float16 if spec.store_dtype == "float16" else np.float32
    # Taps of a group differ in size.
    return {
        tap: rng.standard_normal((rows, frames, 3 + k, size + 2 * k, size + 1)).astype(kind)
        for k, tap in enumerate(spec.taps)
    }


def write(store: FeatureStore, spec: FeatureSpec, item: Item, features: dict[str, np.ndarray] | None = None) -> bool:
    store.write_spec(spec, {"vdprobe": "test"})
    features = make_features(spec, item) if features is None else features
    return store.write(spec, item, features, places=places_of(item), attrs={"sigma": 0.5})


def written(store: FeatureStore, **changed: Any) -> StoredItem:
    """One item of a new spec."""
    spec, item = make_spec(**changed), make_item()
    assert write(store, spec, item)
    return store.get(spec.key, item)


def numbered(n: int) -> tuple[Item, dict[str, np.ndarray]]:
    """Item n and its features, the same in every process."""
    item = make_item(f"video {n}")
    return item, make_features(make_spec(), item, size=16, seed=n)


def stop_at(moment: str) -> None:
    """Have this process stop at a moment of the item that it writes, say so, and wait for a line."""

    def stop() -> None:
        print(f"stopped: {moment}", flush=True)
        sys.stdin.readline()

    def wrap(module: Any, name: str, *, before: bool) -> None:
        plain = getattr(module, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            setattr(module, name, plain)
            if before:
                stop()
            made = plain(*args, **kwargs)
            if not before:
                stop()
            return made

        setattr(module, name, call)

    where = {
        "the folder is made": (writer, "_write_tap", True),
        "some files are written": (writer, "_write_small", True),
        "all files but the record are written": (writer, "write_record", True),
        "the record is written": (writer, "write_record", False),
        "all is on the disk": (store_module, "commit", True),
        "it has its name": (store_module, "commit", False),
        "it is done": (FeatureStore, "write", False),
    }
    module, name, before = where[moment]
    wrap(module, name, before=before)


def main(root: str, first: str, last: str, step: str, moment: str = "") -> None:
    store, spec = FeatureStore.create(Path(root)), make_spec()
    print("ready", flush=True)
    for number, n in enumerate(range(int(first), int(last), int(step))):
        item, features = numbered(n)
        if moment and number == 1:
            stop_at(moment)
        print(n, write(store, spec, item, features), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
