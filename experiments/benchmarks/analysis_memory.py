"""Does an analysis need more memory for more videos? Each of N videos and of four times as many, and its speed.

    python experiments/benchmarks/analysis_memory.py [--videos 25] [--only consistency,probe] [--json result.json]

Makes MovingShapes and a store of their features (random:tiny, two conditions, three taps, frames of 64 pixels), then
runs every analysis on the filled store, each a process of its own with one worker and its own peak of memory.

- `base`: what the process holds before it begins: Python, torch and scikit-learn.
- `ms`: milliseconds for one sample in one cell. From a run that measures, less one that finds all measured.

`statistics` makes the tables of made-up values of 20 times as many videos, 2,000 values each. Memory that grew with
the videos would be four times as far above `base`.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ANALYSES = ("consistency", "roi-similarity", "propagation", "clusters", "probe", "layers", "lighting")
TABLES = "statistics"
KEYS = ("estimator", "region", "gap")
ROWS, MORE = 2000, 20
"""Of `statistics`: values of a video, and how many times the videos of the others."""


def configure(folder: Path, name: str, videos: int) -> dict:
    return {
        "features": {
            "model": {"pipeline": "random:tiny", "device": "cpu", "adapter": "random:0"},
            "videos": {"path": str(folder / "shapes"), "split": "test", "texts_per_object": 1, "limit": videos},
            "clips": {"frames": 5},
            "resize": {"short_side": 64, "long_side": None},
            "taps": ["unet.in", "unet.down.0", "unet.up.2"],
            "conditions": ["vd-i", "vd-t"],
            "store": {"path": str(folder / "store")},
        },
        "controls": {"pixels": {"model": {"pipeline": "pixels"}, "taps": ["pixels.8"]}},
        "shown": {"videos": 0},
    } | ({"strengths": [0, 1]} if name == "lighting" else {})


def fill(folder: Path, videos: int) -> None:
    """Lighting has all features that the others have too."""
    from vdprobe.data.moving_shapes.write import write_moving_shapes
    from vdprobe.extraction.plan import make_plan
    from vdprobe.extraction.run import extract
    from vdprobe.specs.load import build
    from vdprobe.store.store import FeatureStore
    from vdprobe.studies.analysis.by_name import ANALYSES as known

    write_moving_shapes(folder / "shapes", {"test": videos}, frames=5, side=64)
    config = build(known["lighting"].config, configure(folder, "lighting", videos))
    store = FeatureStore.create(folder / "store")
    for backbone in config.backbones().values():
        for seeded in config.seeded(backbone):
            extract(make_plan(seeded), store)


def analyse(folder: Path, name: str, videos: int) -> dict:
    """Peak and speed of one analysis, in this process."""
    from sklearn.linear_model import LogisticRegression  # noqa: F401  it loads what some load later

    from vdprobe.specs.load import build
    from vdprobe.studies.analysis.by_name import ANALYSES as known
    from vdprobe.studies.analysis.run import run_analysis

    config = build(known[name].config, configure(folder, name, videos))
    out = folder / f"{name}-{videos}"
    base, seconds = peak(), []
    for _ in range(2):  # the second finds everything measured
        began = time.process_time()
        run_analysis(known[name], config, out, extracting=False)
        seconds.append(time.process_time() - began)
    cells = sample_cells(config)
    return {"base": base, "peak": peak(), "cells": cells, "ms": 1000 * (seconds[0] - seconds[1]) / cells}


def sample_cells(config) -> int:
    """How many samples there are in all cells, of the videos as they are."""
    from vdprobe.extraction.plan import make_plan
    from vdprobe.studies.analysis.samples import samples_of, together

    count = 0
    for plan in map(make_plan, config.backbones().values()):
        for clip in plan.clips:
            samples, _ = samples_of(clip, plan.config.resize)
            for spec in plan.specs:
                chosen = samples if spec.uses_text else together(samples)
                count += len(chosen) * len(spec.taps) * max(1, len(spec.timesteps))
    return count


def make_statistics(folder: Path, videos: int) -> dict:
    """Peak and speed of the tables of made-up values, in this process."""
    import numpy as np
    import pandas as pd

    from vdprobe.studies.analysis.tables import make_tables, write_values

    cell = {"backbone": "tiny", "control": False, "condition": "", "noise": "none", "seed": 0, "timestep": 0}
    axes = (("vd-i", "vd-t"), range(ROWS // 200), ("paper", "mean"), ("object", "other", "shuffled", "background", "-"))
    names = pd.MultiIndex.from_product([*axes, range(10)], names=["condition", "tap", *KEYS]).to_frame(index=False)
    rng = np.random.default_rng(0)
    out = folder / f"{TABLES}-{videos}"
    out.mkdir()

    def tables():
        for video in range(videos):
            values = {"video": f"v{video}", "value": rng.normal(size=len(names)), "samples": 1, "absent": 0}
            yield names.assign(**{k: v for k, v in cell.items() if k != "condition"}, **values)

    write_values(tables(), out)
    base, began = peak(), time.process_time()
    make_tables(out, KEYS, ("condition",), ())
    seconds = time.process_time() - began
    return {"base": base, "peak": peak(), "cells": videos * ROWS, "ms": 1000 * seconds / (videos * ROWS)}


def peak() -> int:
    """Bytes that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=25)
    parser.add_argument("--only", default=",".join((*ANALYSES, TABLES)))
    parser.add_argument("--json")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        folder, name, videos = Path(args.one[0]), args.one[1], int(args.one[2])
        work = {"fill": fill, TABLES: make_statistics}.get(name)
        print(json.dumps(work(folder, videos) if work else analyse(folder, name, videos)))
        return
    with tempfile.TemporaryDirectory() as folder:

        def run(name: str, videos: int) -> dict:
            command = [sys.executable, __file__, "--one", folder, name, str(videos)]
            return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

        wanted = args.only.split(",")
        if set(wanted) - {TABLES}:
            run("fill", 4 * args.videos)
        results = {}
        print("analysis        videos  sample-cells      ms   base MiB  peak MiB")
        for name in wanted:
            for times in (1, 4):
                videos = times * args.videos * (MORE if name == TABLES else 1)
                row = results[f"{name}, {videos}"] = run(name, videos)
                sizes = f"{row['base'] / 2**20:10.0f} {row['peak'] / 2**20:9.0f}"
                print(f"{name:15} {videos:6} {row['cells']:13} {row['ms']:7.3f} {sizes}", flush=True)
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
