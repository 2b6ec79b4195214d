"""Label propagation: how far do features alone carry the first frame's masks?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8

from vdprobe.analyses.propagation import ObjectScore, Propagation, propagate_labels, propagation_scores
from vdprobe.figures.label_colours import tinted
from vdprobe.studies.analysis.analysis import Analysis, Measured
from vdprobe.studies.analysis.cell_figures import draw_cells
from vdprobe.studies.analysis.config import AnalysisConfig
from vdprobe.studies.analysis.object_masks import GRIDS, ObjectGrid, ObjectMasks
from vdprobe.studies.analysis.tables import Tables


@dataclass(frozen=True, kw_only=True)
class PropagationConfig(AnalysisConfig):
    """`propagation`: where a place looks for its label, and how it weighs what it finds."""

    propagation: Propagation = field(default_factory=Propagation)


def measure(measured: Measured, config: PropagationConfig) -> Sequence[dict[str, Any]]:
    """J, F and their mean over the objects of the first frame, and those of its masks left where they are.

    All objects travel at once. One that appears later counts for nothing; one that vanishes should leave no mask.
    Raises `DataError` where the first frame shows no object or is the only one.
    """
    sample = measured.sample
    scores = propagation_scores(_carried(measured, config), _truth(sample.objects, sample.size))
    return [*_rows("propagated", scores), *_rows("kept", _kept(sample.objects, sample.size))]


def _carried(measured: Measured, config: PropagationConfig) -> UInt8[np.ndarray, "F H W"]:
    """The masks that the first frame's become, without the padding."""
    height, width = measured.sample.size
    first = _first_labels(measured.objects)
    keys = measured.keys()
    features = torch.from_numpy(measured.features)
    masks = propagate_labels(features, first, config.propagation, None if keys is None else torch.from_numpy(keys))
    return masks[:, :height, :width]


# of all samples and cells the same, so made once a clip


@lru_cache(maxsize=GRIDS)
def _first_labels(objects: ObjectGrid) -> UInt8[np.ndarray, "Hm Wm"]:
    return objects.labels()[0]


@lru_cache(maxsize=1)
def _truth(objects: ObjectMasks, size: tuple[int, int]) -> UInt8[np.ndarray, "F H W"]:
    height, width = size
    return objects.labels()[:, :height, :width]


@lru_cache(maxsize=1)
def _kept(objects: ObjectMasks, size: tuple[int, int]) -> tuple[ObjectScore, ...]:
    """Of the first masks in all frames."""
    truth = _truth(objects, size)
    return propagation_scores(truth[:1].repeat(len(truth), axis=0), truth)


def _rows(masks: str, scores: Sequence[ObjectScore]) -> list[dict[str, Any]]:
    means = {
        "J&F": np.mean([score.jf for score in scores]),
        "J": np.mean([score.j for score in scores]),
        "F": np.mean([score.f for score in scores]),
    }
    return [{"masks": masks, "score": name, "value": float(value)} for name, value in means.items()]


def headline(summary: pd.DataFrame) -> pd.DataFrame:
    """J&F of what features carried, and of masks left where they were."""
    return summary[summary["score"] == "J&F"]


def draw(tables: Tables, config: PropagationConfig, folder: Path) -> list[Path]:
    """J&F tap by tap."""
    rows = headline(tables.summary)
    rows = rows[rows["count"] > 1]
    return draw_cells(
        rows[rows["masks"] == "propagated"],
        tables,
        config,
        folder / "propagation-taps.pdf",
        axis="J&F of propagated masks (higher is better)",
        caption="The first frame's masks, carried through the clip by the similarity of features alone; mean over the "
        "first frame's objects and all later frames. An object that fills no half cell of a grid is lost on it.",
        floors=rows[rows["masks"] == "kept"],
        floor="the first frame's masks left where they are",
    )


def picture(measured: Mapping[str, Measured], config: PropagationConfig) -> dict[str, Float[np.ndarray, "F _ _ 3"]]:
    """The true masks, and what they become by the features of each series."""
    rows: dict[str, np.ndarray] = {}
    for name, cell in measured.items():
        height, width = cell.sample.size
        frames, masks = cell.sample.frames()[:, :height, :width], _carried(cell, config)
        truth = _truth(cell.sample.objects, cell.sample.size)
        if not rows:
            rows["true masks"] = tinted(frames, truth)
        score = np.mean([score.jf for score in propagation_scores(masks, truth)])
        rows[f"{name}\nJ&F {score:.2f}"] = tinted(frames, masks)
    return rows


PROPAGATION = Analysis(
    name="propagation",
    config=PropagationConfig,
    keys=("masks", "score"),
    factors=("backbone", "condition", "noise", "timestep", "masks"),
    measure=measure,
    draw=draw,
    needs="an object in the first frame of a clip, and a second frame",
    headline=headline,
    picture=picture,
    pictured="the first frame's masks, carried by features alone",
)
