"""Clips of MovingShapes a second (8 frames of 128x128), with two processes of one thread each.

    OMP_NUM_THREADS=1 python experiments/benchmarks/moving_shapes_speed.py [--clips 400] [--processes 2] [--json]

Pixels and masks alone, and with captions and expressions. `wall` counts what all processes finish in a
second and wants an idle machine; `cpu` is the same from the processor time that one process took, times the
number of processes.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from vdprobe.data.moving_shapes import make_video
from vdprobe.data.moving_shapes.render import render
from vdprobe.data.moving_shapes.splits import split_scene


def pixels(index: int) -> None:
    render(split_scene("train", index))


def everything(index: int) -> None:
    make_video("train", index)


def make(what: Callable[[int], None], indices: range) -> float:
    """Processor seconds that the clips took."""
    began = time.process_time()
    for index in indices:
        what(index)
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    count, processes = options.clips, options.processes
    parts = [range(k * count // processes, (k + 1) * count // processes) for k in range(processes)]
    result = {}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        list(pool.map(make, [everything] * processes, [range(20)] * processes))  # imports and first calls
        for what in (pixels, everything):
            began = time.perf_counter()
            cpu = sum(pool.map(make, [what] * processes, parts))
            wall = time.perf_counter() - began
            result[what.__name__] = {"wall": count / wall, "cpu": processes * count / cpu}
    if options.json:
        json.dump(result, sys.stdout, indent=1)
        print()
        return
    print("clips/s       wall    cpu   bar: 100")
    for name, rates in result.items():
        print(f"{name:10} {rates['wall']:7.0f} {rates['cpu']:6.0f}")


if __name__ == "__main__":
    main()
