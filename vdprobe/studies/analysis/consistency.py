"""Temporal consistency (Figure 4 of VD-IT): the first frame's object against the same object later."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64

from vdprobe.analyses.consistency import (
    ESTIMATORS,
    REGIONS,
    TrackFeatures,
    Tracks,
    consistency,
    make_tracks,
    shuffled,
    track_features,
    video_mean,
)
from vdprobe.figures.curves import draw_curves
from vdprobe.studies.analysis.analysis import Analysis, Measured
from vdprobe.studies.analysis.cell_figures import draw_cells
from vdprobe.studies.analysis.cells import NONE
from vdprobe.studies.analysis.config import AnalysisConfig
from vdprobe.studies.analysis.frame_rules import rule_words
from vdprobe.studies.analysis.object_masks import GRIDS, ObjectGrid
from vdprobe.studies.analysis.series import at, describe, pick, series_names, shown_place
from vdprobe.studies.analysis.tables import Tables

SHUFFLED = "shuffled"
FLOORS = {"other": "other objects", "background": "background", SHUFFLED: "another video"}
"""Region to what a reader calls it."""


@dataclass(frozen=True, kw_only=True)
class ConsistencyConfig(AnalysisConfig):
    """Nothing more than what all analyses ask for."""


def measure(measured: Measured, config: ConsistencyConfig) -> Sequence[dict[str, Any]]:
    """A value for each target, gap, region and estimator."""
    objects, seed = measured.objects, config.features.seed
    tracks = _tracks(objects, objects.size, seed)
    chosen = [number for number, name in enumerate(tracks.objects) if name in measured.sample.targets]
    own = track_features(measured.features, video_mean(measured.features), tracks)
    rows = list(_rows(consistency(own)[:, :, chosen], REGIONS, measured.after_first))
    other = _describe_other(measured.other, objects, len(measured.features), seed)
    if other is not None:
        rows += _rows(shuffled(own, other)[:, None, chosen], (SHUFFLED,), measured.after_first)
    return rows


def _rows(
    values: Float64[np.ndarray, "estimators regions n gaps"], regions: Sequence[str], after_first: Sequence[int]
) -> Iterator[dict[str, Any]]:
    for gap, target in np.ndindex(values.shape[3], values.shape[2]):
        for place, region in enumerate(regions):
            for number, estimator in enumerate(ESTIMATORS):
                value = float(values[number, place, target, gap])
                yield {"estimator": estimator, "region": region, "gap": after_first[gap + 1], "value": value}


@lru_cache(maxsize=2 * GRIDS)
def _tracks(objects: ObjectGrid, grid: tuple[int, int], seed: int) -> Tracks:
    """On a grid of cells: the features' own, or that of another video, over which the masks are stretched."""
    return make_tracks(objects.masks(), grid, seed=seed)


@lru_cache(maxsize=1)
def _describe_other(
    other: Callable[[], np.ndarray | None], objects: ObjectGrid, frames: int, seed: int
) -> TrackFeatures | None:
    """The other video's features at the places of these objects: the same for all samples of a cell, so made once.

    None where there is no other video, or it has fewer frames.
    """
    features = other()
    if features is None or len(features) < frames:
        return None
    height, width = features.shape[2:]
    return track_features(features[:frames], video_mean(features), _tracks(objects, (height, width), seed), first=1)


def headline(summary: pd.DataFrame) -> pd.DataFrame:
    """The object and its floors at the last gap, by the object's mean feature without the video's."""
    last = summary["gap"] == summary["gap"].max()
    return summary[last & (summary["estimator"] == "masked_mean_centred")]


def draw(tables: Tables, config: ConsistencyConfig, folder: Path) -> list[Path]:
    """For two estimators the curve over gaps, and the last gap tap by tap."""
    paths = []
    for estimator, what in SHOWN.items():
        rows = tables.summary[(tables.summary["estimator"] == estimator) & (tables.summary["count"] > 1)]
        if rows["control"].all():
            continue
        place = shown_place(rows, config.shown)
        objects = pick(rows[rows["region"] == "object"], place)
        objects["series"] = series_names(objects, config.subject)
        floors = at(rows[(rows["region"] != "object") & ~rows["control"]], place)
        floors = floors.assign(series=floors["region"].map(FLOORS), control=True)
        paths.append(folder / f"consistency-{estimator}.pdf")
        draw_curves(
            pd.concat([objects, floors], ignore_index=True),
            paths[-1],
            x="gap",
            x_label="frames after the first",
            y_label="cosine similarity",
            caption=f"{what} Features of {describe(place)}. A model follows objects as far as its line lies above "
            f"those of other objects, of the background and of another video{_of(place)}.{rule_words(rows)}",
        )
        last = rows[rows["gap"] == rows["gap"].max()]
        paths += draw_cells(
            last[last["region"] == "object"],
            tables,
            config,
            folder / f"consistency-{estimator}-taps.pdf",
            axis=f"cosine similarity, {last['gap'].max()} frames after the first",
            caption=what,
            floors=last[last["region"] == SHUFFLED],
            floor="the same places in another video",
        )
    return paths


def _of(place: Mapping[str, str]) -> str:
    """Whose floors are drawn."""
    return "" if place["condition"] == NONE else f" (of {place['condition']})"


SHOWN = {
    "paper": "The object's feature in the first frame against later ones, by the recipe of VD-IT's Figure 4.",
    "masked_mean_centred": "The object's mean feature in the first frame against later ones, the video's mean taken "
    "from both.",
}
"""Estimators that are drawn, and what they are."""

CONSISTENCY = Analysis(
    name="consistency",
    config=ConsistencyConfig,
    keys=("estimator", "region", "gap"),
    factors=("backbone", "condition", "noise", "timestep", "region"),
    measure=measure,
    draw=draw,
    needs="an object in the first frame of a clip, and in a later one",
    headline=headline,
)
