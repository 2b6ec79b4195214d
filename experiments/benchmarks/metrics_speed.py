"""J and F against the official algorithm, step by step as davis2017-evaluation takes it, on one thread.

    pip install opencv-python-headless
    python experiments/benchmarks/metrics_speed.py [--frames 20] [--repeats 5] [--json]

Made masks of 480x854 pixels: smooth blobs, the prediction shifted by some pixels and its edge roughened.
Both sides take turns on the same masks, so that a busy machine slows both; medians are compared. Their
values are equal to the last bit, or the script stops. The official side dilates with OpenCV, as the
official code does, which is why the script wants it.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from vdprobe.metrics.contour import contour_accuracy
from vdprobe.metrics.region import region_similarity

HEIGHT, WIDTH = 480, 854
AREAS = (0.01, 0.05, 0.2, 0.5)
"""Share of the frame that the object covers. Ours works in the box around both masks: the larger, the slower."""


def made_masks(frames: int, area: float) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and truth, bool (frames, HEIGHT, WIDTH): one blob of that area in each frame."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    predictions, truths = [], []
    for _ in range(frames):
        centre = rng.uniform(0.35, 0.65, 2) * (HEIGHT, WIDTH)
        near = -np.hypot(y - centre[0], x - centre[1])
        shape = near + 400 * gaussian_filter(rng.standard_normal((HEIGHT, WIDTH)), 12)
        rough = shape + 20 * gaussian_filter(rng.standard_normal((HEIGHT, WIDTH)), 2)
        truths.append(shape > np.quantile(shape, 1 - area))
        predictions.append(np.roll(rough > np.quantile(rough, 1 - area), rng.integers(-4, 5, 2), (0, 1)))
    return np.stack(predictions), np.stack(truths)


def official_region(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    inside = np.logical_not(np.zeros_like(truth))
    overlap = np.sum((prediction & truth) & inside, axis=(-2, -1))
    union = np.sum((prediction | truth) & inside, axis=(-2, -1))
    return np.where(np.isclose(union, 0), 1, overlap / union)


def official_boundary(mask: np.ndarray) -> np.ndarray:
    right, below, diagonal = np.zeros_like(mask), np.zeros_like(mask), np.zeros_like(mask)
    right[:, :-1] = mask[:, 1:]
    below[:-1, :] = mask[1:, :]
    diagonal[:-1, :-1] = mask[1:, 1:]
    boundary = mask ^ right | mask ^ below | mask ^ diagonal
    boundary[-1, :] = mask[-1, :] ^ right[-1, :]
    boundary[:, -1] = mask[:, -1] ^ below[:, -1]
    boundary[-1, -1] = 0
    return boundary


def official_contour(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Of one frame, both of whose masks have a boundary."""
    radius = int(np.ceil(0.008 * np.linalg.norm(prediction.shape)))
    span = np.arange(-radius, radius + 1)
    disk = (span[:, None] ** 2 + span**2 <= radius**2).astype(np.uint8)
    ours, theirs = official_boundary(prediction), official_boundary(truth)
    ours_wide = cv2.dilate(ours.astype(np.uint8), disk)
    theirs_wide = cv2.dilate(theirs.astype(np.uint8), disk)
    precision = np.sum(ours * theirs_wide) / float(np.sum(ours))
    recall = np.sum(theirs * ours_wide) / float(np.sum(theirs))
    return 2 * precision * recall / (precision + recall)


def timed(call: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    start = time.perf_counter()
    values = call()
    return values, time.perf_counter() - start


def compare(prediction: np.ndarray, truth: np.ndarray, repeats: int) -> dict[str, dict[str, float]]:
    """Milliseconds a frame of both sides, for J and for F, and their ratio."""
    sides = {
        "J": (
            lambda: region_similarity(prediction, truth),
            lambda: official_region(prediction, truth),
        ),
        "F": (
            lambda: contour_accuracy(prediction, truth),
            lambda: np.array([official_contour(p, t) for p, t in zip(prediction, truth, strict=True)]),
        ),
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, (ours, official) in sides.items():
            (mine, my_time), (theirs, their_time) = timed(ours), timed(official)
            assert np.array_equal(mine, theirs)
            seconds[name].append((my_time, their_time))
    seconds["J and F"] = [(a + c, b + d) for (a, b), (c, d) in zip(seconds["J"], seconds["F"], strict=True)]
    table = {}
    for name, times in seconds.items():
        mine, theirs = (statistics.median(side) / len(truth) * 1e3 for side in zip(*times, strict=True))
        table[name] = {"vdprobe_ms": mine, "official_ms": theirs, "ratio": theirs / mine}
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    result = {str(area): compare(*made_masks(options.frames, area), options.repeats) for area in AREAS}
    if options.json:
        json.dump(result, sys.stdout, indent=1)
        print()
        return
    print("area             vdprobe ms   official ms   ratio   bar: 5 for J and F")
    for area, table in result.items():
        for name, row in table.items():
            print(f"{area:6} {name:8} {row['vdprobe_ms']:11.2f} {row['official_ms']:13.2f} {row['ratio']:7.1f}")


if __name__ == "__main__":
    main()
