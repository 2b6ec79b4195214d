"""Real predictions, scored as davis2017-evaluation scores them, where its values lie beside the checkout."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vdprobe.metrics.contour import contour_accuracy
from vdprobe.metrics.region import region_similarity
from vdprobe.metrics.summary import summarise

SHARED = Path(__file__).parents[2] / "../shared"
OFFICIAL = SHARED / "fixtures/davis_metrics"
TRUTH = SHARED / "davis/Annotations/480p"
pytestmark = pytest.mark.skipif(
    not OFFICIAL.is_dir() or not TRUTH.is_dir(), reason="no official values at ../shared/fixtures/davis_metrics"
)


def table(name):
    with open(OFFICIAL / name, newline="") as file:
        return list(csv.DictReader(file))


def masks(folder, names):
    return np.stack([np.asarray(Image.open(folder / f"{name}.png")) > 0 for name in names])


@pytest.mark.parametrize("sequence", ["car-shadow", "dog"])
def test_equals_the_official_values(sequence):
    rows = [row for row in table("golden_per_frame.csv") if row["sequence"] == sequence]
    names = [row["frame"] for row in rows]
    pair = masks(OFFICIAL / "predictions" / sequence, names), masks(TRUTH / sequence, names)
    (official,) = [row for row in table("golden_per_sequence.csv") if row["sequence"] == sequence]
    for letter, score in (("J", region_similarity), ("F", contour_accuracy)):
        values = score(*pair)
        assert values == pytest.approx([float(row[letter]) for row in rows], abs=1e-9)
        found = summarise(values[1:-1])
        summary = [float(official[f"{letter}_{kind}"]) for kind in "MRD"]
        assert [found.mean, found.recall, found.decay] == pytest.approx(summary, abs=1e-6)
