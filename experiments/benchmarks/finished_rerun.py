"""How long a finished extraction of 10,000 tiny items takes to find that nothing is left to do.

    python experiments/benchmarks/finished_rerun.py

Really extracts them first (2,000 made videos of two frames x 5 texts, first UNet tap, random:tiny),
then runs the same command again `--repeats` times, each a process of its own, and reports the
median wall time. Bar: 5 s.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

TEXTS = ["a dog", "a cat", "a red disk", "the blue square", "the one that moves"]


def make_videos(folder: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    for k in range(count):
        video = folder / f"video{k:05d}"
        video.mkdir(parents=True)
        for frame in range(2):
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(video / f"{frame}.png")
    names = [f"video{k:05d}" for k in range(count)]
    (folder.parent / "texts.json").write_text(json.dumps(dict.fromkeys(names, TEXTS)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--adapter", action="store_true", help="with an adapter, whose hash needs torch")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_videos(folder / "videos", args.videos)
        command = [sys.executable, "-m", "vdprobe", "extract", "--model", "random:tiny", "--tap", "unet.in"]
        command += ["--videos", str(folder / "videos"), "--layout", "frames", "--store", str(folder / "store")]
        command += ["--expressions", str(folder / "texts.json"), "--batch-size", "5", "--json"]
        command += ["--set", "resize={short_side: null, long_side: null}"]
        command += ["--adapter", "random:0"] if args.adapter else []
        runs = []
        for _ in range(args.repeats + 1):
            began = time.perf_counter()
            out = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
            runs.append((time.perf_counter() - began, json.loads(out)))
    (filled, first), again = runs[0], runs[1:]
    assert all(report["forwards"] == report["written"] == 0 for _, report in again)
    print(f"items {first['items']}, filled in {filled:.1f} s, forwards of a further run 0")
    print(f"finished re-run: median {statistics.median(t for t, _ in again):.2f} s of {len(again)}, bar 5 s")


if __name__ == "__main__":
    main()
