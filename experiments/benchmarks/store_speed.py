"""The feature store against raw files and np.memmap of the same bytes, and the time to find work done.

    python experiments/benchmarks/store_speed.py [--folder DIR] [--repeats 9] [--items 10000] [--json]

Both sides of a comparison take turns, so that a busy machine slows both; medians are compared.

- write: into the page cache, on both sides; `durable`: both flush every file and folder to the disk.
- read: clips of files that this process has read before; `first`: whole files that it has not, so that each is
  compared with its checksum; the raw side compares nothing.

A write goes over the values on a second core while the first one copies them to the page cache. On a
2-core machine (Xeon, ext4) the write ratio was 0.86 to 0.91 with that core free, 0.55 to 0.70 with both cores
busy with other programs; the read ratio was 1.0 or above, and 10,000 items were found done in 0.65 to 1.0 s. With both
cores busy, a first read had 0.44 to 0.61 of the speed of a read that compares nothing (2.5 to 6 GB/s), and a write that
flushes 0.6 to 1.1 of the speed of one that does not (0.8 GB/s): it costs what the disk costs the raw side, too.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vdprobe.specs.features import Condition, FeatureSpec, Item, LatentSampling, ModelIdentity, Noise
from vdprobe.specs.layer import TapPlace
from vdprobe.specs.spans import frame_spans
from vdprobe.specs.video import ClipSampling, Resize
from vdprobe.store import verified
from vdprobe.store.flush import flush, flush_tree
from vdprobe.store.item import StoredItem
from vdprobe.store.record import read_record
from vdprobe.store.store import FeatureStore

SHAPES = {"unet.up.2": (512, 64, 112), "unet.up.1": (960, 32, 56), "unet.up.0": (1280, 16, 28)}
"""Channels, height, width of three decoder blocks for video of about 512 x 896 pixels."""


def spec_of(taps: tuple[str, ...], seed: int) -> FeatureSpec:
    return FeatureSpec(
        model=ModelIdentity(name="benchmark", parts={"unet": "0" * 64}),
        taps=taps,
        timesteps=(261,),
        condition=Condition(kind="vd-i", form="raw"),
        noise=Noise(kind="gaussian", seed=seed),
        latents=LatentSampling(),
        clips=ClipSampling(),
        resize=Resize(),
        compute_dtype="float16",
        store_dtype="float16",
    )


def item_of(number: int, frames: int) -> Item:
    return Item(video=f"video {number:05d}", digest="0" * 64, frames=tuple(range(frames)), text=None)


def features_of(frames: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {tap: rng.standard_normal((1, frames, *shape), np.float32).astype("f2") for tap, shape in SHAPES.items()}


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def write_speed(folder: Path, repeats: int, *, durable: bool = False) -> dict[str, float]:
    """`FeatureStore.write` of five-frame items, each followed by as many raw files of the same sizes."""
    features, places = features_of(5), dict.fromkeys(SHAPES, TapPlace(8, frame_spans(5)))
    store, spec = FeatureStore.create(folder / "written", durable=durable), spec_of(tuple(SHAPES), seed=0)
    store.write_spec(spec, {})

    def ours(item: Item) -> None:
        store.write(spec, item, features, places=places, attrs={"sigma": 0.5})

    def raw(place: Path, small: list[int]) -> None:
        place.mkdir(parents=True)
        for tap, values in features.items():
            with open(place / tap, "wb") as file:
                file.write(values.data.cast("B"))
        for n, size in enumerate(small):
            with open(place / f"{n}.json", "wb") as file:
                file.write(b"x" * size)
        if durable:
            flush_tree(place)
            flush(place.parent)

    ours(item_of(0, 5))  # warms up, and tells the sizes of the small files
    record = read_record(store.get(spec.key, item_of(0, 5)).path)
    assert record is not None
    small = [size for name, (size, _) in record.files.items() if name.endswith(".json")] + [1000]
    times: dict[str, list[float]] = {"store": [], "raw": []}
    for _ in range(repeats):
        items = [item_of(n, 5) for n in range(1, 9)]
        for item in items:
            times["store"].append(seconds(lambda item=item: ours(item)))
            times["raw"].append(seconds(lambda item=item: raw(folder / "raw" / item.video, small)))
        for item in items:
            shutil.rmtree(store.get(spec.key, item).path)
        shutil.rmtree(folder / "raw")
    shutil.rmtree(store.root)
    return compare(times, sum(v.nbytes for v in features.values()))


def read_speed(folder: Path, repeats: int) -> tuple[dict[str, float], dict[str, float]]:
    """Random four-frame clips of 16-frame items: `StoredItem.read` against np.memmap, both copied out.

    And all files whole, none of which is known to be intact.
    """
    store = FeatureStore.create(folder / "read", durable=False)
    spec = spec_of(tuple(SHAPES), seed=0)
    store.write_spec(spec, {})
    features = features_of(16)
    for n in range(3):
        store.write(
            spec, item_of(n, 16), features, places=dict.fromkeys(SHAPES, TapPlace(8, frame_spans(16))), attrs={}
        )
    items = list(store.items(spec.key))
    rng = np.random.default_rng(0)
    clips = [(int(rng.integers(3)), list(SHAPES)[rng.integers(3)], int(rng.integers(13))) for _ in range(60)]

    whole = [(n, tap, 0) for n in range(3) for tap in SHAPES]

    def ours(item: StoredItem, tap: str, start: int, count: int = 4) -> np.ndarray:
        return np.array(item.read(tap, 261, slice(start, start + count)))

    def raw(item: StoredItem, tap: str, start: int, count: int = 4) -> np.ndarray:
        file = f"{item.path}/{tap}/c/0/0/0/0/0"
        return np.array(np.memmap(file, "<f2", "r", shape=(16, *SHAPES[tap]))[start : start + count])

    times: dict[str, list[float]] = {"store": [], "raw": []}
    first: dict[str, list[float]] = {"store": [], "raw": []}
    for _ in range(repeats):
        verified._seen.clear()
        for name, read in (("store", ours), ("raw", raw)):
            first[name].append(seconds(lambda read=read: [read(items[n], tap, s, 16) for n, tap, s in whole]))
        for name, read in (("store", ours), ("raw", raw)):
            times[name].append(seconds(lambda read=read: [read(items[n], tap, s) for n, tap, s in clips]))
    assert all(np.array_equal(ours(items[n], t, s), raw(items[n], t, s)) for n, t, s in clips[:6])
    size = 2 * sum(int(np.prod(SHAPES[tap])) for _, tap, _ in clips)
    return compare(times, 4 * size), compare(first, 16 * 2 * 3 * sum(int(np.prod(shape)) for shape in SHAPES.values()))


def resume_speed(folder: Path, count: int) -> dict[str, float]:
    """`is_committed` over many finished items, two taps each."""
    store = FeatureStore.create(folder / "resume", durable=False)
    spec = spec_of(("unet.up.0", "unet.up.1"), seed=0)
    store.write_spec(spec, {})
    tiny = {tap: np.zeros((1, 1, 4, 2, 2), "f2") for tap in spec.taps}
    items = [item_of(n, 1) for n in range(count)]
    places = dict.fromkeys(spec.taps, TapPlace(8, frame_spans(1)))
    written = seconds(lambda: [store.write(spec, i, tiny, places=places, attrs={}) for i in items])
    done: list[bool] = []
    found = seconds(lambda: done.extend(store.is_committed(spec.key, item) for item in items))
    assert all(done)
    return {"items": count, "write_s": written, "resume_s": found}


def compare(times: dict[str, list[float]], size: int) -> dict[str, float]:
    ours, raw = statistics.median(times["store"]), statistics.median(times["raw"])
    return {"bytes": size, "store_MB_per_s": size / ours / 1e6, "raw_MB_per_s": size / raw / 1e6, "ratio": raw / ours}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=None, help="where to write (default: the temporary folder)")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--items", type=int, default=10_000, help="finished items to resume over")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        write, durable = (write_speed(folder, options.repeats, durable=flushed) for flushed in (False, True))
        read, first = read_speed(folder, options.repeats)
        result = {
            "cores": os.cpu_count(),
            "write": write,
            "durable": durable,
            "durable_to_write": durable["store_MB_per_s"] / write["store_MB_per_s"],
            "read": read,
            "first": first,
            "resume": resume_speed(folder, options.items),
        }
    if options.json:
        json.dump(result, sys.stdout, indent=1)
        print()
        return
    print("          store MB/s   raw MB/s   ratio   bar")
    for what, bar in (("write", 0.8), ("durable", 0.8), ("read", 0.9), ("first", 0.3)):
        row: Any = result[what]
        print(f"{what:8} {row['store_MB_per_s']:11.0f} {row['raw_MB_per_s']:10.0f} {row['ratio']:7.2f} {bar:5.1f}")
    print(f"durable against not: {result['durable_to_write']:.2f}")
    resume: Any = result["resume"]
    print(f"resume over {resume['items']:,} items: {resume['resume_s']:.2f} s (written in {resume['write_s']:.1f} s)")


if __name__ == "__main__":
    main()
