"""Clusters of features (Figure 1 of VD-IT): does a place, and does an object, keep its cluster over time?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Integer

from vdprobe.analyses.clusters import (
    CLUSTERS,
    LabelStability,
    cluster_jointly,
    cluster_official,
    label_stability,
    object_stability,
)
from vdprobe.analyses.probes import cell_labels
from vdprobe.errors import DataError
from vdprobe.figures.label_colours import label_colours
from vdprobe.studies.analysis.analysis import Analysis, Measured
from vdprobe.studies.analysis.cell_figures import draw_cells
from vdprobe.studies.analysis.config import AnalysisConfig
from vdprobe.studies.analysis.object_masks import GRIDS, ObjectGrid
from vdprobe.studies.analysis.tables import Tables

RECIPES = {"joint": cluster_jointly, "official": cluster_official}
WORDS = {"joint": "one basis for all frames", "official": "a basis for each frame, as VD-IT's figure probably has"}
"""Recipe to what a reader must know of it."""


@dataclass(frozen=True, kw_only=True)
class ClustersConfig(AnalysisConfig):
    """Nothing more than what all analyses ask for."""


def measure(measured: Measured, config: ClustersConfig) -> Sequence[dict[str, Any]]:
    """For each recipe the stability of labels and of objects, and of both with the frames in any order.

    That of objects is nan where none fills half a cell in two consecutive frames. Raises `DataError` for a clip of
    one frame.
    """
    cells = _cells(measured.objects)
    rows = []
    for recipe, cluster in RECIPES.items():
        clusters = cluster(measured.features)
        rows += _rows(recipe, "labels", label_stability(clusters))
        rows += _rows(recipe, "objects", _of_objects(clusters, cells))
    return rows


@lru_cache(maxsize=GRIDS)
def _cells(objects: ObjectGrid) -> Integer[np.ndarray, "F h w"]:
    """The same for all features on a grid, so it is made once."""
    return cell_labels(objects.labels(), objects.size)


def _of_objects(clusters: Integer[np.ndarray, "F h w"], cells: Integer[np.ndarray, "F h w"]) -> LabelStability:
    try:
        return object_stability(clusters, cells)
    except DataError:  # no object is as large as a cell; the table counts it
        return LabelStability(np.nan, np.nan)


def _rows(recipe: str, what: str, found: LabelStability) -> list[dict[str, Any]]:
    return [
        {"recipe": recipe, "stability": what, "frames": frames, "value": value}
        for frames, value in (("in order", found.value), ("in any order", found.floor))
    ]


def headline(summary: pd.DataFrame) -> pd.DataFrame:
    """By the joint recipe."""
    return summary[summary["recipe"] == "joint"]


def draw(tables: Tables, config: ClustersConfig, folder: Path) -> list[Path]:
    """Each stability by each recipe, tap by tap."""
    paths = []
    for recipe, basis in WORDS.items():
        for what, (axis, caption) in SHOWN.items():
            rows = tables.summary[(tables.summary["recipe"] == recipe) & (tables.summary["stability"] == what)]
            rows = rows[rows["count"] > 1]
            if rows["control"].all():
                continue
            how = f"k-means, {CLUSTERS} clusters of all frames together, three principal components ({basis})."
            paths += draw_cells(
                rows[rows["frames"] == "in order"],
                tables,
                config,
                folder / f"clusters-{recipe}-{what}.pdf",
                axis=axis,
                caption=f"{how} {caption}",
                floors=rows[rows["frames"] == "in any order"],
                floor="the same frames in any order",
            )
    return paths


SHOWN = {
    "labels": (
        "adjusted Rand index of consecutive frames",
        "How much of the clusters' parts of a frame is the same in the next one, place by place.",
    ),
    "objects": (
        "share of objects that keep their cluster",
        "How often the cluster that most of an object belongs to is the same in the next frame.",
    ),
}
"""What is measured to its axis, and what it means."""


def picture(measured: Mapping[str, Measured], config: ClustersConfig) -> dict[str, Float[np.ndarray, "F _ _ 3"]]:
    """The clusters of each series by the joint recipe: the largest has the first colour."""
    return {name: label_colours(_by_size(cluster_jointly(cell.features))) for name, cell in measured.items()}


def _by_size(labels: Integer[np.ndarray, "F h w"]) -> Integer[np.ndarray, "F h w"]:
    return np.argsort(np.argsort(-np.bincount(labels.ravel()), kind="stable"))[labels]


CLUSTERING = Analysis(
    name="clusters",
    config=ClustersConfig,
    keys=("recipe", "stability", "frames"),
    factors=("backbone", "condition", "noise", "timestep", "recipe", "frames"),
    measure=measure,
    draw=draw,
    needs="two frames",
    headline=headline,
    picture=picture,
    pictured=f"k-means of features, {CLUSTERS} clusters of all frames together",
)
