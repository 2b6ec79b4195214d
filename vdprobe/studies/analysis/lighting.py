"""Robustness to light (Figure 5 of VD-IT): how far features move when the frames get another light."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from vdprobe.analyses.lighting import drift_rows
from vdprobe.data.frames import FrameReader
from vdprobe.data.lighting import apply_lighting
from vdprobe.data.resize import prepare_frames
from vdprobe.data.video import Failure
from vdprobe.errors import VdprobeError
from vdprobe.extraction.clip_work import ClipWork, clips_by_video
from vdprobe.figures.curves import draw_curves
from vdprobe.store.store import FeatureStore
from vdprobe.studies.analysis.analysis import Analysis, Gather, Measured, Rows
from vdprobe.studies.analysis.cell_figures import draw_cells
from vdprobe.studies.analysis.cells import Cell, View, cells_of, open_item
from vdprobe.studies.analysis.frame_rules import rule_words
from vdprobe.studies.analysis.lighting_config import CENTRED, CHANGE, COSINE, IOU, KEYS, OBJECT, LightingConfig
from vdprobe.studies.analysis.parts import Part
from vdprobe.studies.analysis.places import Meaning, Places, find_places
from vdprobe.studies.analysis.series import describe, pick, series_names, shown_place
from vdprobe.studies.analysis.tables import Tables


def masks(
    config: LightingConfig, out: Path, extracting: bool, on_progress: Callable[[str, int, int], None] | None
) -> Iterator[Part]:
    """The IoU of the heads' masks."""
    if not config.heads:
        return iter(())
    from vdprobe.studies.analysis.lit_heads import head_parts  # it loads models, which nothing else here does

    return head_parts(config, out, extracting, on_progress)


def units(views: Sequence[View], config: LightingConfig) -> list[tuple[Cell, ...]]:
    """Each cell of the videos as they are, followed by the same one under each light."""
    found: dict[tuple[object, ...], list[Cell]] = {}
    for view in sorted(views, key=lambda view: view.lighting is not None):
        for spec in view.specs:
            for cell in cells_of(view, spec):
                found.setdefault(tuple(cell.names.values()), []).append(cell)
    return [tuple(cells) for cells in found.values()]


def rows(unit: tuple[Cell, ...], store: FeatureStore, config: LightingConfig) -> Iterator[Rows]:
    """How alike the features of a place are before and after each change, for objects and background."""
    clean, *lit = unit
    for video, clips in clips_by_video(clean.view.clips).items():
        found: list[dict[str, Any]] = []
        lacks: list[Failure] = []
        for clip in clips:
            try:
                made = list(_clip_rows(clean, lit, store, clip, lacks))
            except VdprobeError as error:
                lacks.append(Failure(f"{clip.name}, {clean.label}", str(error)))
                continue
            found += [clean.names | {"video": video} | row for row in made]
        yield found, lacks


def _clip_rows(
    clean: Cell, lit: Sequence[Cell], store: FeatureStore, clip: ClipWork, lacks: list[Failure]
) -> Iterator[dict[str, Any]]:
    if clean.spec.uses_text and not clip.texts:
        return  # said by the plan
    item = open_item(store, clean.spec, clip, clip.texts[0] if clip.texts else None)
    places, missing = find_places(clean, clip, item)
    lacks += missing
    if places is not None:
        for meaning in places.of(clean):
            yield from _drift(clean, lit, store, clip, places, meaning)


def _drift(
    clean: Cell, lit: Sequence[Cell], store: FeatureStore, clip: ClipWork, places: Places, meaning: Meaning
) -> list[dict[str, Any]]:
    """Rows of one sample: 1 at strength 0, for each kind, of all that has a value."""
    before = clean.read(open_item(store, clean.spec, clip, meaning.text))[1]
    meant = np.isin(places.labels, meaning.targets)
    regions = np.where(meant, 1, np.where(places.labels == 0, 0, -1))
    found = []
    begun = set()
    for cell in lit:
        light = cell.view.lighting
        assert light is not None
        after = cell.read(open_item(store, cell.spec, clip, meaning.text))[1]
        for row in drift_rows(before, after, regions):
            keys = {"measure": CENTRED if row.centred else COSINE, "kind": light.kind, "region": row.region}
            if light.kind not in begun:
                found.append({**keys, "strength": 0.0, "value": 1.0 if row.places else np.nan})
            found.append({**keys, "strength": light.strength, "value": row.cosine})
        begun.add(light.kind)
    return found


def draw(tables: Tables, config: LightingConfig, folder: Path) -> list[Path]:
    """For each kind the curves over strengths of features and of masks, and the greatest strength tap by tap."""
    paths = []
    known = tables.summary[(tables.summary["count"] > 1) & (tables.summary["region"] == OBJECT)]
    for kind in dict.fromkeys(config.kinds):
        rows = known[(known["measure"] == CENTRED) & (known["kind"] == kind)]
        if len(rows):
            paths += _draw_features(rows, tables, kind, config, folder)
        changes = known[(known["measure"] == CHANGE) & (known["kind"] == kind)]
        if len(changes):
            paths.append(folder / f"lighting-{kind}-iou.pdf")
            _draw_masks(changes, known[known["measure"] == IOU], kind, config, paths[-1])
    return paths


def _draw_features(rows: pd.DataFrame, tables: Tables, kind: str, config: LightingConfig, folder: Path) -> list[Path]:
    place = shown_place(rows, config.shown)
    curves = pick(rows, place)
    what = (
        f"How alike objects' features are with and without a change of light ({kind}): cosine at the same place, "
        "the video's mean feature taken from both."
    )
    path = folder / f"lighting-{kind}.pdf"
    draw_curves(
        curves.assign(series=series_names(curves, config.subject)),
        path,
        x="strength",
        x_label=f"strength of the change ({kind})",
        y_label="cosine similarity",
        caption=f"{what} Features of {describe(place)}.{rule_words(rows)}",
    )
    most = rows[rows["strength"] == rows["strength"].max()]
    axis = f"cosine similarity at strength {most['strength'].max():g}"
    taps = folder / f"lighting-{kind}-taps.pdf"
    return [path, *draw_cells(most, tables, config, taps, axis=axis, caption=what)]


def _draw_masks(changes: pd.DataFrame, ious: pd.DataFrame, kind: str, config: LightingConfig, path: Path) -> None:
    before = ious[(ious["kind"] == kind) & (ious["strength"] == 0)]
    names = zip(series_names(before, config.subject), before["mean"], strict=True)
    draw_curves(
        changes.assign(series=series_names(changes, config.subject)),
        path,
        x="strength",
        x_label=f"strength of the change ({kind})",
        y_label="change of IoU",
        caption=f"IoU of the masks that heads predict under a change of light ({kind}), less that for the same videos "
        f"without it. IoU without it: {', '.join(f'{name} {value:.2f}' for name, value in names)}.",
    )


def picture(measured: Mapping[str, Measured], config: LightingConfig) -> dict[str, Float[np.ndarray, "F _ _ 3"]]:
    """The frames under every light."""
    sample = next(iter(measured.values())).sample
    with FrameReader(sample.clip.video) as reader:
        frames = reader.read(sample.clip.frames)
    found = {}
    for light in config.lights():
        changed = apply_lighting(frames, light, sample.clip.video.id, sample.clip.frames).frames
        prepared = prepare_frames(changed, sample.resize)
        height, width = prepared.size
        pixels = prepared.pixels[:, :, :height, :width].transpose(0, 2, 3, 1)
        found[f"{light.kind} {light.strength:g}"] = (pixels + 1) / 2
    return found


def headline(summary: pd.DataFrame) -> pd.DataFrame:
    """What is left of objects' features, and of masks, at the greatest strength."""
    rows = summary[summary["measure"].isin([CENTRED, IOU, CHANGE]) & (summary["region"] == OBJECT)]
    return rows[rows["strength"] == rows["strength"].max()]


LIGHTING = Analysis(
    name="lighting",
    config=LightingConfig,
    keys=KEYS,
    factors=("backbone", "condition", "noise", "timestep", "strength"),
    measure=Gather(units, rows),
    draw=draw,
    headline=headline,
    beyond=masks,
    picture=picture,
    pictured="the frames under each change of light",
)
