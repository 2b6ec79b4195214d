"""Pictures of the first videos, in the cells that figures show: the model under each condition, and its controls."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from vdprobe.errors import VdprobeError
from vdprobe.extraction.clip_work import ClipWork, clips_by_video
from vdprobe.figures.picture_rows import draw_picture_rows
from vdprobe.store.store import FeatureStore
from vdprobe.studies.analysis.analysis import Analysis, Measured
from vdprobe.studies.analysis.cells import GROUP, Cell, View, cells_of, open_item
from vdprobe.studies.analysis.config import AnalysisConfig
from vdprobe.studies.analysis.samples import Sample, at_frames, samples_of, together
from vdprobe.studies.analysis.series import describe, pick, series_names, shown_place


def draw_pictures(
    analysis: Analysis,
    config: AnalysisConfig,
    views: Sequence[View],
    store: FeatureStore,
    summary: pd.DataFrame,
    folder: Path,
) -> list[Path]:
    """A PNG and a PDF of each of the first `config.shown.videos` videos that can be measured; gives the PNGs."""
    if analysis.picture is None or not config.shown.videos:
        return []
    folder.mkdir(exist_ok=True)
    known = _known(views)
    summary = summary[
        [key in known for key in _keys(summary)]
    ]  # not what has no features of its own, as a head's masks
    place = shown_place(summary, config.shown)
    cells = _cells(known, pick(summary, place), config.subject, place["tap"])
    paths: list[Path] = []
    for clip, *_ in clips_by_video(views[0].clips).values():
        samples, _ = samples_of(clip, config.features.resize)
        if not samples:
            continue
        if len(paths) == config.shown.videos:
            break
        shown = samples[0]
        try:
            measured = _measured(cells, shown, store)
            rows = analysis.picture(measured, config)
            shown = replace(shown, clip=next((cell.sample.clip for cell in measured.values()), clip))
        except VdprobeError:
            continue  # it is among the failures of the tables
        height, width = shown.size
        paths.append(folder / f"{analysis.name}-{clip.video.id}.png")
        text = f", '{shown.text}'" if shown.text else ""
        title = f"{clip.name}{text}: {analysis.pictured}; {describe(place)}"
        draw_picture_rows(shown.frames()[:, :height, :width], rows, paths[-1], title)
    return paths


def _known(views: Sequence[View]) -> dict[tuple[str, ...], Cell]:
    """The cell of each row of a summary, of several seeds the first."""
    known: dict[tuple[str, ...], Cell] = {}
    for view in views:
        for spec in view.specs:
            for cell in cells_of(view, spec):
                known.setdefault(tuple(str(cell.names[name]) for name in GROUP), cell)
    return known


def _keys(rows: pd.DataFrame) -> list[tuple[str, ...]]:
    return list(rows[list(GROUP)].astype(str).itertuples(index=False, name=None))


def _cells(known: Mapping[tuple[str, ...], Cell], rows: pd.DataFrame, subject: str, tap: str) -> dict[str, Cell]:
    """The cell of each series of the rows; a control says where it has another tap."""
    rows = rows.drop_duplicates(subset=list(GROUP))
    cells = [known[key] for key in _keys(rows)]
    names = zip(series_names(rows, subject), cells, strict=True)
    return {f"{name}\n{c.tap}" if c.view.control and c.tap != tap else name: c for name, c in names}


def _measured(cells: Mapping[str, Cell], shown: Sample, store: FeatureStore) -> dict[str, Measured]:
    """The shown sample in each cell, in the frames that all have; a control with other clips has no row."""
    opened = {}
    for name, cell in cells.items():
        clip = _same(shown.clip, cell.view)
        if clip is None:
            continue
        samples, _ = samples_of(clip, cell.spec.resize)
        chosen = samples if cell.spec.uses_text else together(samples)
        sample = next((s for s in chosen if s.expression == shown.expression), chosen[0])
        opened[name] = cell, sample, open_item(store, cell.spec, clip, sample.text)
    seen = [cell.frames(item) for cell, _, item in opened.values()]
    frames = tuple(sorted(set(seen[0]).intersection(*seen))) if seen else ()
    found = {}
    for (name, (cell, sample, item)), places in zip(opened.items(), seen, strict=True):
        stride, features = cell.read(item)
        (sample,) = at_frames([sample], frames)
        features = features[[places.index(frame) for frame in frames]]
        found[name] = Measured(sample, features, stride, lambda: None, frames)
    return found


def _same(clip: ClipWork, view: View) -> ClipWork | None:
    return next((c for c in view.clips if (c.video.id, c.frames) == (clip.video.id, clip.frames)), None)
