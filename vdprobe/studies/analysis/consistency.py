"""Temporal consistency (Figure 4 of VD-IT): the first frame's object against the same object later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from vdprobe.analyses.consistency import consistency_rows, shuffled_rows
from vdprobe.figures.curves import draw_curves
from vdprobe.studies.analysis.analysis import Analysis, Measured
from vdprobe.studies.analysis.cells import NONE
from vdprobe.studies.analysis.config import AnalysisConfig
from vdprobe.studies.analysis.series import at, describe, draw_taps, pick, series_names, shown_place
from vdprobe.studies.analysis.tables import Tables

FLOORS = {"other": "other objects", "background": "background", "shuffled": "another video"}
"""Region to what a reader calls it."""


@dataclass(frozen=True, kw_only=True)
class ConsistencyConfig(AnalysisConfig):
    """Nothing more than what all analyses ask for."""


def measure(measured: Measured, config: ConsistencyConfig) -> Sequence[dict[str, Any]]:
    """A value for each target, gap, estimator and region."""
    sample = measured.sample
    masks = sample.masks_on(measured.grid, measured.stride)
    rows = consistency_rows(measured.features, masks, seed=config.features.seed)
    other = measured.other()
    if other is not None and len(other) >= len(measured.features):
        rows += shuffled_rows(measured.features, masks, other)
    return [
        {"estimator": row.estimator, "region": row.region, "gap": row.gap, "value": row.value}
        for row in rows
        if row.object in sample.targets
    ]


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
        objects = pick(rows[rows["region"] == "object"], place, free="condition")
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
            f"those of other objects, of the background and of another video{_of(place)}.",
        )
        last = rows[rows["gap"] == rows["gap"].max()]
        paths.append(folder / f"consistency-{estimator}-taps.pdf")
        draw_taps(
            last[last["region"] == "object"],
            config,
            paths[-1],
            axis=f"cosine similarity, {last['gap'].max()} frames after the first",
            caption=what,
            floors=last[last["region"] == "shuffled"],
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
