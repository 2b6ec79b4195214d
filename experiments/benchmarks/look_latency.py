"""How long the viewer takes from a click to a map, cold and warm, and how much memory it keeps.

    OMP_NUM_THREADS=1 python experiments/benchmarks/look_latency.py

A store of random float16 features, 36 frames of 45 x 80 places with 1600 channels (415 MB a clip), is written to a
temporary folder; each question is asked through the server's application, as the page asks it. CPU seconds are those
of one thread. Cold: a viewer that was just opened, so that checksums are compared, and features read, for this click;
the files are in the page cache, as the disk's speed is not the viewer's.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from starlette.testclient import TestClient

from vdprobe.look.server import make_app
from vdprobe.look.viewer import open_viewer
from vdprobe.specs.features import Condition, FeatureSpec, Item, LatentSampling, ModelIdentity, Noise
from vdprobe.specs.layer import TapPlace
from vdprobe.specs.spans import frame_spans
from vdprobe.specs.video import ClipSampling, Resize
from vdprobe.store.store import FeatureStore

FRAMES, ROWS, COLUMNS, STRIDE = 36, 45, 80, 8


def write(root: Path, clips: int, channels: int) -> str:
    spec = FeatureSpec(
        model=ModelIdentity(name="random numbers", parts={"unet": "ab" * 32}),
        taps=("unet.up.1",),
        timesteps=(0,),
        condition=Condition(kind="vd-i", form="raw"),
        noise=Noise(kind="gaussian", seed=0),
        latents=LatentSampling(),
        clips=ClipSampling(),
        resize=Resize(),
        compute_dtype="float16",
        store_dtype="float16",
    )
    store = FeatureStore.create(root, durable=False)
    store.write_spec(spec, {})
    size = {"frame_size": [ROWS * STRIDE, COLUMNS * STRIDE]}
    for n in range(clips):
        values = torch.randn(1, FRAMES, channels, ROWS, COLUMNS, dtype=torch.float16).numpy()
        item = Item(video=f"video-{n}", digest=f"{n:064x}", frames=tuple(range(FRAMES)), text=None)
        place = TapPlace(STRIDE, frame_spans(len(item.frames)))
        store.write(
            spec,
            item,
            {"unet.up.1": values},
            places={"unet.up.1": place},
            attrs=size,
        )
    return spec.key[:16]


def ask(client: TestClient, path: str, **query: object) -> tuple[float, float]:
    """CPU and wall seconds of an answer."""
    cpu, wall = time.process_time(), time.perf_counter()
    answer = client.get(path, params={"token": "t", "tap": "unet.up.1", "t": 0, "clip": f"0-{FRAMES - 1}", **query})
    answer.raise_for_status()
    return time.process_time() - cpu, time.perf_counter() - wall


def measure(root: Path, spec: str, clips: int) -> dict[str, object]:
    torch.set_num_threads(1)
    viewer = open_viewer(root)
    client = TestClient(make_app(viewer, "t", 4321), base_url="http://127.0.0.1:4321")
    client.get("/store", params={"token": "t"}).raise_for_status()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    point = {"spec": spec, "video": "video-0", "x": 0.4, "y": 0.6}
    seen: dict[str, object] = {"click to map, cold": ask(client, "/cosines", f=3, **point)}
    warm = [ask(client, "/cosines", f=f, **point) for f in range(10)]
    seen["click to map, warm (median of 10)"] = tuple(float(np.median(column)) for column in zip(*warm, strict=True))
    seen["minus the mean, first"] = ask(client, "/cosines", f=3, centred=1, **point)
    seen["minus the mean, warm"] = ask(client, "/cosines", f=4, centred=1, **point)
    seen["colours, with the fit of their basis"] = ask(client, "/colours", **{k: point[k] for k in ("spec", "video")})
    seen["colours, warm"] = ask(client, "/colours", **{k: point[k] for k in ("spec", "video")})
    most = 0
    for n in range(clips):
        ask(client, "/cosines", f=3, **{**point, "video": f"video-{n}"})
        most = max(most, viewer.clips.nbytes)
    seen[f"kept after {clips} clips, MiB (limit {viewer.clips.limit >> 20})"] = most / 2**20
    now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seen["resident memory, peak, beyond that before the first click, MiB"] = now - before
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels", type=int, default=1600)
    parser.add_argument("--clips", type=int, default=5)
    parser.add_argument("--root", type=Path, help="a store that an earlier run of this script has written")
    parser.add_argument("--spec", help="its spec")
    arguments = parser.parse_args()
    if arguments.root:
        print(json.dumps(measure(arguments.root, arguments.spec, arguments.clips)))
        return
    with tempfile.TemporaryDirectory() as folder:
        spec = write(Path(folder) / "store", arguments.clips, arguments.channels)
        command = [
            sys.executable,
            __file__,
            "--root",
            f"{folder}/store",
            "--spec",
            spec,
            "--clips",
            str(arguments.clips),
        ]
        found = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True
        ).stdout  # with a memory of its own
        for name, value in json.loads(found).items():
            words = f"{value[0]:.3f} s CPU, {value[1]:.3f} s" if isinstance(value, list) else f"{value:.0f}"
            print(f"{name:<70} {words}")


if __name__ == "__main__":
    main()
