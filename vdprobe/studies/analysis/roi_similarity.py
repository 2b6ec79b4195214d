"""RoI similarity: is an object over time more alike than two objects of a frame? How well features tell them apart."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Int64

from vdprobe.analyses.roi_similarity import Pairs, find_pairs, pair_values, separation
from vdprobe.errors import DataError
from vdprobe.figures.bars import draw_dots
from vdprobe.figures.distributions import draw_distributions
from vdprobe.studies.analysis.analysis import Analysis, Measured
from vdprobe.studies.analysis.cell_figures import draw_cells
from vdprobe.studies.analysis.config import AnalysisConfig
from vdprobe.studies.analysis.frame_rules import rule_words
from vdprobe.studies.analysis.object_masks import GRIDS, ObjectGrid
from vdprobe.studies.analysis.series import describe, pick, series_names, shown_place
from vdprobe.studies.analysis.tables import Tables

SHOWN = "masked_mean_centred"
"""The estimator whose distributions are kept, and that figures show."""
BINS = 20
"""Of cosines from -1 to 1."""
KINDS = {"within": "one object in two frames", "between": "two objects of a frame"}
"""Kind of pair to what a reader calls it."""


@dataclass(frozen=True)
class Split:
    """Pairs by one of their facts: below the first edge, below the second, and the rest; `levels` name the three."""

    fact: str
    edges: tuple[float, float]
    levels: tuple[str, str, str]


SPLITS = (
    Split("size", (0.01, 0.05), ("under 1 %", "1 to 5 %", "5 % and more")),
    Split("gap", (1e-6, 0.1), ("boxes meet", "under 10 %", "10 % and more")),
    Split("occlusion", (0.05, 0.15), ("under 5 %", "5 to 15 %", "15 % and more")),
)
"""Size of the smaller object in the frame; gap between boxes, of the frame's longer side; share of a box that other
objects fill. Pairs within and between are both taken from the level: like is compared with like."""


@dataclass(frozen=True, kw_only=True)
class RoiSimilarityConfig(AnalysisConfig):
    """Nothing more than what all analyses ask for."""


@dataclass(frozen=True, eq=False)
class Level:
    """The pairs of a level, within objects and between them, by their numbers."""

    split: str
    level: str
    within: Int64[np.ndarray, " n"]
    between: Int64[np.ndarray, " m"]


def measure(measured: Measured, config: RoiSimilarityConfig) -> Sequence[dict[str, Any]]:
    """For each estimator the AUC, over all pairs and those of each level; for one also both distributions.

    nan where a video has not both kinds of pair. Raises `DataError` for a clip of one frame.
    """
    if len(measured.features) < 2:
        raise DataError("a clip of one frame shows no object twice; give clips.frames of at least 2")
    pairs, levels = _pairs(measured.objects)
    rows = []
    for estimator, values in pair_values(measured.features, pairs).items():
        for each in levels:
            auc = _auc(values[each.within], values[each.between])
            rows.append(_row(estimator, "AUC", each.split, each.level, auc))
        if estimator == SHOWN:
            for kind, some in (("within", values[pairs.within]), ("between", values[~pairs.within])):
                rows += [_row(estimator, kind, "cosine", level, share) for level, share in _shares(some)]
    return rows


@lru_cache(maxsize=GRIDS)
def _pairs(objects: ObjectGrid) -> tuple[Pairs, tuple[Level, ...]]:
    """The same for all features on a grid, so they are made once."""
    pairs = find_pairs(objects.masks(), objects.size)
    return pairs, tuple(_levels(pairs))


def _levels(pairs: Pairs) -> Iterator[Level]:
    def level(split: str, name: str, chosen: Bool[np.ndarray, " pairs"]) -> Level:
        return Level(split, name, *(np.flatnonzero(chosen & kind) for kind in (pairs.within, ~pairs.within)))

    yield level("all", "all", np.ones(len(pairs.size), dtype=bool))
    for split in SPLITS:
        which = np.digitize(getattr(pairs, split.fact), split.edges)
        for number, name in enumerate(split.levels):
            yield level(split.fact, name, which == number)


def _auc(within: Float64[np.ndarray, " n"], between: Float64[np.ndarray, " m"]) -> float:
    return separation(within, between) if len(within) and len(between) else np.nan


def _shares(values: Float64[np.ndarray, " n"]) -> Iterator[tuple[str, float]]:
    """The middle of each bin, and the share of the values in it."""
    counts, edges = np.histogram(values.clip(-1, 1), BINS, (-1, 1))
    for count, middle in zip(counts, (edges[1:] + edges[:-1]) / 2, strict=True):
        yield f"{middle:.2f}", count / len(values) if len(values) else np.nan


def _row(estimator: str, statistic: str, split: str, level: str, value: float) -> dict[str, Any]:
    return {"estimator": estimator, "statistic": statistic, "split": split, "level": level, "value": value}


def compared(values: pd.DataFrame) -> pd.DataFrame:
    """Of distributions no bin is compared with another's."""
    return values[values["statistic"] == "AUC"]


def headline(summary: pd.DataFrame) -> pd.DataFrame:
    """The AUC over all pairs, by one estimator."""
    auc = (summary["statistic"] == "AUC") & (summary["split"] == "all")
    return summary[auc & (summary["estimator"] == SHOWN)]


def draw(tables: Tables, config: RoiSimilarityConfig, folder: Path) -> list[Path]:
    """Both distributions at one place, the AUC there by what pairs are like, and the AUC tap by tap."""
    rows = tables.summary[(tables.summary["estimator"] == SHOWN) & (tables.summary["count"] > 1)]
    whole = headline(rows)
    if whole["control"].all():
        return []
    place = shown_place(whole, config.shown)
    paths = [folder / f"roi-similarity{name}.pdf" for name in ("", "-splits")]
    what = "Cosine between mean features of objects, without the video's mean"
    _draw_distributions(rows, place, config, paths[0], what)
    _draw_splits(rows, place, config, paths[1])
    return paths + draw_cells(
        whole,
        tables,
        config,
        folder / "roi-similarity-taps.pdf",
        axis="AUC (higher is better)",
        line=("chance", 0.5),
        caption=f"{what}: how often a pair of one object in two frames is more alike than a pair of two objects in "
        "one frame of the same video.",
    )


def _draw_distributions(
    rows: pd.DataFrame, place: dict[str, str], config: RoiSimilarityConfig, path: Path, what: str
) -> None:
    auc = pick(headline(rows), place)
    means = dict(zip(series_names(auc, config.subject), auc["mean"], strict=True))
    bins = pick(rows[rows["split"] == "cosine"], place)
    bins["name"] = series_names(bins, config.subject)
    bins = bins[bins["name"].isin(means)]  # not those that lack pairs of one kind
    bins["panel"] = [f"{name} (AUC {means[name]:.2f})" for name in bins["name"]]
    bins["series"] = bins["statistic"].map(KINDS)
    middle = bins["level"].astype(float)
    bins["left"], bins["right"], bins["share"] = middle - 1 / BINS, middle + 1 / BINS, bins["mean"]
    draw_distributions(
        bins,
        path,
        x_label="cosine similarity",
        caption=f"{what}: {describe(place)}. AUC: how often a pair of one object is more alike than a pair of two."
        f"{rule_words(rows)}",
    )


def _draw_splits(rows: pd.DataFrame, place: dict[str, str], config: RoiSimilarityConfig, path: Path) -> None:
    auc = pick(rows[rows["statistic"] == "AUC"], place)
    auc["group"] = series_names(auc, config.subject)
    auc["label"] = (auc["split"] + ", " + auc["level"]).where(auc["split"] != "all", "all pairs")
    draw_dots(
        auc,
        path,
        axis="AUC (higher is better)",
        line=("chance", 0.5),
        caption=f"{describe(place)}. How often a pair of one object is more alike than a pair of two of that level. "
        "Size: the smaller object's share of the frame. Gap: from box to box, of the frame's longer side. Occlusion: "
        f"share of a box that other objects fill. A level that only one video has is not shown.{rule_words(rows)}",
    )


ROI_SIMILARITY = Analysis(
    name="roi-similarity",
    config=RoiSimilarityConfig,
    keys=("estimator", "statistic", "split", "level"),
    factors=("backbone", "condition", "noise", "timestep", "level"),
    measure=measure,
    draw=draw,
    needs="two objects in one frame, and one object in two",
    headline=headline,
    compared=compared,
)
