"""What each tap's features are like: their norms, outlier channels, effective rank and how much of them the text makes;
and how alike two taps are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vdprobe.analyses.layers import HsicSums, Moments, common_places, layer_statistics, sum_hsic, sum_moments
from vdprobe.analyses.text_share import TextSums, sum_text
from vdprobe.data.video import Failure
from vdprobe.errors import ConfigError, DataError, VdprobeError
from vdprobe.extraction.clip_work import ClipWork, clips_by_video
from vdprobe.figures.heatmap import draw_heatmap
from vdprobe.store.store import FeatureStore
from vdprobe.studies.analysis.analysis import Analysis, Gather, Rows
from vdprobe.studies.analysis.cell_figures import draw_cells
from vdprobe.studies.analysis.cells import NONE, Cell, View, cells_of, open_item
from vdprobe.studies.analysis.config import AnalysisConfig
from vdprobe.studies.analysis.frame_rules import rule_words
from vdprobe.studies.analysis.series import depth, describe, shown_place
from vdprobe.studies.analysis.tables import Tables
from vdprobe.studies.file_names import file_name

STATISTICS = ("norm", "norm_spread", "top_share", "peak", "entropy_rank", "participation")
"""Of `LayerStatistics`."""
TEXT_SHARE = "text_share"
"""Of what depends on text."""
CKA = "cka"
VIDEO, ALL = "video", "all"
"""Levels of `over`: what a value is of."""
EVERYTHING = "(all)"
"""What stands for the video in the row of a value that is of all videos."""


@dataclass(frozen=True, kw_only=True)
class LayersConfig(AnalysisConfig):
    """How many places are looked at.

    - `places`: of each clip, for all but the likeness of layers. Ranks are of fewer than ten times as many places as
      there are channels too small: of a video alone compare them between models of the same widths.
    - `common`: of each clip, for the likeness of layers. Memory grows with its square.
    """

    places: int = 1024
    common: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.places < 2 or self.common < 4:
            raise ConfigError(f"places (={self.places}) must be at least 2 and common (={self.common}) at least 4")


def units(views: Sequence[View], config: LayersConfig) -> list[tuple[Cell, ...]]:
    """Each cell by itself, and all taps of all backbones under the same condition, noise, seed and timestep.

    What depends on the frames alone comes last in each, as the first of two names the condition, and by itself.
    """
    cells = [cell for view in views for spec in view.specs for cell in cells_of(view, spec)]
    columns: dict[tuple[object, ...], list[Cell]] = {}
    for cell in cells:
        if cell.spec.condition is not None:
            column = (*(cell.names[name] for name in ("condition", "noise", "seed", "timestep")),)
            columns.setdefault(column, []).append(cell)
    frames_alone = [cell for cell in cells if cell.spec.condition is None]
    together = [*((*column, *frames_alone) for column in columns.values()), (*frames_alone,)]
    return [(cell,) for cell in cells] + [column for column in together if len(column) > 1]


def rows(unit: tuple[Cell, ...], store: FeatureStore, config: LayersConfig) -> Iterator[Rows]:
    """Statistics of one cell, or the CKA of each two: of each video, and of all."""
    return _statistics(unit[0], store, config) if len(unit) == 1 else _likeness(unit, store, config)


def _statistics(cell: Cell, store: FeatureStore, config: LayersConfig) -> Iterator[Rows]:
    whole: Moments | None = None
    for video, clips in clips_by_video(cell.view.clips).items():
        lacks: list[Failure] = []
        own: Moments | None = None
        shares = []
        for clip in clips:
            texts: TextSums | None = None
            for moments, sums in _sums(cell, store, clip, config, lacks):
                own = moments if own is None else own.merge(moments)
                texts = sums if texts is None else texts.merge(sums)
            if cell.spec.uses_text and texts is not None and texts.squares > 0:
                # of a clip with one text there is nothing to measure
                share = texts.share() if texts.texts > 1 else np.nan
                shares.append(_row(cell, video, VIDEO, TEXT_SHARE, share))
        found = _told(cell, own, video, VIDEO, lacks)
        if own is not None:
            whole = own if whole is None else whole.merge(own)
        yield found + shares, lacks
    lacks = []
    yield _told(cell, whole, EVERYTHING, ALL, lacks), lacks


def _sums(
    cell: Cell, store: FeatureStore, clip: ClipWork, config: LayersConfig, lacks: list[Failure]
) -> Iterator[tuple[Moments, TextSums]]:
    """Of the clip under each text, at the same places; what cannot be summed is added to `lacks`."""
    for text in _texts(cell, clip):
        try:
            features = {cell.tap: cell.look(open_item(store, cell.spec, clip, text))[1]}
            drawn = common_places(features, clip.name, count=config.places, seed=config.features.seed)[cell.tap]
            found = sum_moments(drawn.T[None, :, :, None]), sum_text(drawn)
        except VdprobeError as error:
            lacks.append(Failure(f"{clip.name}, {cell.label}", str(error)))
            continue
        yield found


def _told(cell: Cell, sums: Moments | None, video: str, over: str, lacks: list[Failure]) -> list[dict[str, Any]]:
    """A row for each statistic; none where nothing was summed."""
    if sums is None:
        return []
    try:
        found = layer_statistics(sums)
    except VdprobeError as error:
        lacks.append(Failure(f"{video}, {cell.label}", str(error)))
        return []
    return [_row(cell, video, over, name, getattr(found, name)) for name in STATISTICS]


def _row(cell: Cell, video: str, over: str, statistic: str, value: float) -> dict[str, Any]:
    keys = {"statistic": statistic, "over": over, "other_backbone": NONE, "other_tap": NONE}
    return cell.names | {"video": video, "value": value} | keys


def _likeness(unit: tuple[Cell, ...], store: FeatureStore, config: LayersConfig) -> Iterator[Rows]:
    whole: HsicSums | None = None
    lacks: list[Failure] = []
    for video, clips in clips_by_video(_common_clips(unit, lacks)).items():
        own: HsicSums | None = None
        for clip in clips:
            for text in _texts(unit[0], clip):
                try:
                    sums = sum_hsic(_aligned(unit, store, clip, text, config))
                except VdprobeError as error:
                    lacks.append(Failure(f"{clip.name}, {unit[0].spec.label}", str(error)))
                    continue
                own = sums if own is None else own.merge(sums)
        found = _pairs(unit, own, video, VIDEO, lacks)
        if own is not None:
            whole = own if whole is None else whole.merge(own)
        yield found, lacks
        lacks = []
    yield _pairs(unit, whole, EVERYTHING, ALL, lacks), lacks


def _common_clips(unit: tuple[Cell, ...], lacks: list[Failure]) -> Iterator[ClipWork]:
    """The clips that all backbones have."""
    views = {id(cell.view): cell.view for cell in unit}.values()
    there = [(view.backbone, frozenset(view.clips)) for view in views]
    for clip in unit[0].view.clips:
        without = [backbone for backbone, clips in there if clip not in clips]
        if without:
            lacks.append(Failure(clip.name, f"is no clip of '{without[0]}', so that nothing can be compared there"))
        else:
            yield clip


def _aligned(
    unit: tuple[Cell, ...], store: FeatureStore, clip: ClipWork, text: str | None, config: LayersConfig
) -> Mapping[str, np.ndarray]:
    """The features of each cell at the same places of the frames: means over the places of the coarsest grid."""
    items = [open_item(store, cell.spec, clip, text) for cell in unit]
    coarsest = max(int(item.tap_attrs(cell.tap)["stride"]) for cell, item in zip(unit, items, strict=True))
    rows, columns = (max(1, side // coarsest) for side in items[0].attrs["frame_size"])
    seen = [cell.frames(item) for cell, item in zip(unit, items, strict=True)]
    frames = sorted(set(seen[0]).intersection(*seen))
    if not frames:
        raise DataError("no frame has features in all of the taps")
    grid = np.zeros((len(frames), 1, rows, columns))
    out = {}
    for number, (cell, item) in enumerate(zip(unit, items, strict=True)):
        # one at a time, and whole places of the coarsest grid alone: only those lie over each other
        stride, features = cell.look(item)
        part = features[:, :, : rows * coarsest // stride, : columns * coarsest // stride]
        if len(frames) < len(seen[number]):
            part = part[[seen[number].index(frame) for frame in frames]]
        places = {"layer": part, "coarsest": grid}
        out[f"{number}: {cell.label}"] = common_places(
            places, clip.name, count=config.common, seed=config.features.seed
        )["layer"]
    return out


def _pairs(
    unit: tuple[Cell, ...], sums: HsicSums | None, video: str, over: str, lacks: list[Failure]
) -> list[dict[str, Any]]:
    """A row for each two cells; none where nothing was summed."""
    if sums is None:
        return []
    try:
        values = sums.cka()
    except VdprobeError as error:
        lacks.append(Failure(video, str(error)))
        return []
    found = []
    for (i, one), (j, two) in combinations(enumerate(unit), 2):
        if one.spec.condition is None and unit[0].spec.condition is not None:
            continue  # these two are compared by themselves
        keys = {
            "statistic": CKA,
            "over": over,
            "other_backbone": two.view.backbone,
            "other_tap": two.tap,
        }
        found.append(one.names | {"video": video} | keys | {"value": values[i, j]})
    return found


def _texts(cell: Cell, clip: ClipWork) -> tuple[str | None, ...]:
    return clip.texts if cell.spec.uses_text else (None,)


def draw(tables: Tables, config: LayersConfig, folder: Path) -> list[Path]:
    """Ranks and outliers tap by tap, and the CKA of the model's taps with each other and with each control's."""
    summary = tables.summary
    paths = []
    for statistic, (axis, caption) in DOTS.items():
        known = summary[(summary["statistic"] == statistic) & (summary["over"] == VIDEO) & (summary["count"] > 1)]
        if len(known):
            path = folder / f"layers-{statistic.replace('_', '-')}.pdf"
            paths += draw_cells(known, tables, config, path, axis=axis, caption=caption)
    likeness = summary[(summary["statistic"] == CKA) & (summary["over"] == VIDEO) & np.isfinite(summary["mean"])]
    if likeness.empty:
        return paths
    for other in dict.fromkeys([config.subject, *likeness["other_backbone"]]):
        table, place = _grid(likeness, config, other)
        if len(table):
            name = "layers-cka" if other == config.subject else f"layers-cka-{file_name(other)}"
            paths.append(folder / f"{name}.pdf")
            _draw_grid(table, place, config.subject, other, paths[-1], rule_words(likeness))
    return paths


def _grid(likeness: pd.DataFrame, config: LayersConfig, other: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """`row` (the model's tap), `column` (the other's), `value` and `count`, and where in the grid: at the shown place,
    or where most taps of the other are.
    """
    place = shown_place(likeness, replace(config.shown, tap=None))
    swapped = {"tap": "other_tap", "other_tap": "tap", "backbone": "other_backbone", "other_backbone": "backbone"}
    both = pd.concat([likeness, likeness[likeness["backbone"] != config.subject].rename(columns=swapped)])
    rows = both[(both["backbone"] == config.subject) & (both["other_backbone"] == other)]
    for name in ("condition", "noise", "timestep"):
        named = rows[rows[name] != NONE]
        taps = named.groupby(named[name].astype(str), sort=False)["other_tap"].nunique()
        fullest = [str(level) for level, count in taps.items() if count == taps.max()]
        if place[name] not in fullest:
            place[name] = fullest[0] if fullest else NONE
        rows = rows[rows[name].astype(str).isin([place[name], NONE])]
    table = rows.rename(columns={"tap": "row", "other_tap": "column", "mean": "value"})
    table = table[["row", "column", "value", "count"]]
    if other != config.subject:
        for side in ("column", "row"):  # the last one sorted by counts first
            table = table.sort_values(side, key=lambda taps: taps.map(depth), kind="stable")
        return table, place
    # each two stand in the table once, and each tap with itself not at all
    mirrored = table.rename(columns={"row": "column", "column": "row"})
    names = sorted({*table["row"], *table["column"]}, key=depth)
    own = pd.DataFrame({"row": names, "column": names, "value": 1.0, "count": table["count"].max()})
    return pd.concat([own, table, mirrored], ignore_index=True), place


def _draw_grid(table: pd.DataFrame, place: Mapping[str, str], subject: str, other: str, path: Path, end: str) -> None:
    least, most = table["count"].min(), table["count"].max()
    counts = f"{least}" if least == most else f"{least} to {most}"
    own = other == subject
    where = describe({**place, "tap": "" if place["condition"] == NONE else f", {place['condition']}"})
    draw_heatmap(
        table,
        path,
        value="linear CKA",
        caption=f"How alike the features of two layers are, at the same places of the same frames: linear CKA, "
        f"unbiased. {f'Taps of {subject}' if own else f'Rows: taps of {subject}; columns: of {other}'}{where}. "
        f"1: the same but for a rotation and a scale; 0: unrelated. Means of n = {counts} videos.{end}",
        row_label="" if own else subject,
        column_label="" if own else other,
    )


DOTS = {
    "entropy_rank": (
        "effective rank",
        "Over how many directions the features of a video spread (exponent of the spectrum's entropy).",
    ),
    "top_share": (
        "share of the variance",
        "How much of the variance of a video's features lies in the 1 % of channels, at least one, that vary most.",
    ),
    TEXT_SHARE: (
        "share of the text",
        "How much of the variance between places changes with the text: the same frames under each expression. "
        "0: the text changes nothing, or all places alike.",
    ),
}
"""Statistics that are drawn: axis, and what they are."""


def headline(summary: pd.DataFrame) -> pd.DataFrame:
    """The statistics that are drawn, of videos; the share of the text where a clip has two."""
    return summary[summary["statistic"].isin(DOTS) & (summary["over"] == VIDEO) & (summary["count"] > 0)]


LAYERS = Analysis(
    name="layers",
    config=LayersConfig,
    keys=("statistic", "over", "other_backbone", "other_tap"),
    factors=("backbone", "condition", "noise", "timestep"),
    measure=Gather(units, rows),
    draw=draw,
    needs="frames that can be read",
    headline=headline,
)
