"""Measures view by view: every sample of every video in every cell, one video at a time."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from vdprobe.data.video import Failure
from vdprobe.errors import VdprobeError
from vdprobe.extraction.clip_work import ClipWork, clips_by_video
from vdprobe.specs.canonical import canonical_hash
from vdprobe.store.store import FeatureStore
from vdprobe.studies.analysis.analysis import Measure, Measured
from vdprobe.studies.analysis.cells import Cell, View, cells_of, keys_of, open_item
from vdprobe.studies.analysis.config import AnalysisConfig
from vdprobe.studies.analysis.object_masks import ObjectMasks
from vdprobe.studies.analysis.parts import Part, read_part, write_part
from vdprobe.studies.analysis.samples import Sample, at_frames, samples_of, together
from vdprobe.studies.analysis.statistics import video_values
from vdprobe.studies.analysis.table_files import csv_text
from vdprobe.studies.processes import spread

Pair = tuple[tuple[ClipWork, ...], ClipWork]
"""The clips of a video, and a clip of another one."""


def measure_views(
    measure: Measure,
    keys: Sequence[str],
    config: AnalysisConfig,
    views: Sequence[View],
    store: FeatureStore,
    parts: Path,
    workers: int,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Iterator[Part]:
    """The values of each video in each cell of each view, from the parts that were written before if there are.

    `on_progress` gets (backbone, videos done, all of them).
    """
    for view in views:
        name = canonical_hash([view.backbone, view.seed])[:16]
        if (part := read_part(parts, name)) is None:
            tell = None if on_progress is None else partial(on_progress, view.backbone)
            # without the clips of all videos, which would go to a process with each of them
            task = partial(_measure_video, measure, keys, config, replace(view, clips=()), store)
            made = spread(task, _pairs(view), chunk=1, workers=workers, on_progress=tell)
            part = write_part(parts, name, made)
        yield part


def _pairs(view: View) -> list[Pair]:
    """Each video with the next one, the last with the first; none for a view that has nothing of its own."""
    videos = list(clips_by_video(view.clips).values())
    pairs = zip(videos, [*videos[1:], *videos[:1]], strict=True)
    return [(clips, other[0]) for clips, other in pairs] if view.specs else []


def _measure_video(
    measure: Measure,
    keys: Sequence[str],
    config: AnalysisConfig,
    view: View,
    store: FeatureStore,
    chunk: Sequence[Pair],
) -> tuple[str, list[Failure]]:
    """The text of the CSV of a video's values, and what of it could not be measured."""
    ((clips, other),) = chunk
    lacks: list[Failure] = []
    # One thread a process: as fast together, and the same values for any number of processes.
    with threadpool_limits(1):
        rows = (row for clip in clips for row in _measure_clip(measure, config, view, store, clip, other, lacks))
        return csv_text(video_values(rows, keys)), lacks


def _measure_clip(
    measure: Measure,
    config: AnalysisConfig,
    view: View,
    store: FeatureStore,
    clip: ClipWork,
    other_clip: ClipWork,
    lacks: list[Failure],
) -> Iterator[dict[str, Any]]:
    """The rows of a clip; what of it cannot be measured is added to `lacks`."""
    samples, missing = samples_of(clip, view.specs[0].resize)
    lacks += missing
    tried, failed = Counter[str](), Counter[tuple[str, str]]()
    cut = _Cut()
    for spec in view.specs:
        # features that no text has a part in are the same for all: measured once, for all objects meant
        chosen = samples if spec.uses_text else together(samples)
        there = [s for s in chosen if store.is_committed(spec.key, clip.item(spec, s.text))]
        # of the others the extraction has said why
        items = [(sample, open_item(store, spec, clip, sample.text)) for sample in there]
        for cell in cells_of(view, spec):
            names = cell.names | {"video": clip.video.id}
            other = partial(_other, store, cell, other_clip, clip)
            for sample, item in items:
                stride, features = cell.read(item)
                tried[sample.name] += 1
                try:
                    places, keys = cell.frames(item), partial(keys_of, cell, item)
                    found = measure(Measured(cut(sample, places), features, stride, other, places, keys), config)
                except VdprobeError as error:
                    failed[sample.name, str(error)] += 1
                    continue
                yield from (names | row for row in found)
    for (where, why), count in failed.items():
        some = "" if count == tried[where] else f" (in {count} of {tried[where]} cells of {view.backbone})"
        lacks.append(Failure(where, f"{why}{some}"))


class _Cut:
    """The samples of a clip in the frames that a cell has features of; cells of the same frames share their masks."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, ...], ObjectMasks] = {}

    def __call__(self, sample: Sample, places: tuple[int, ...]) -> Sample:
        """The sample there. Raises `DataError` where no object is seen."""
        (seen,) = at_frames([sample], places)
        return replace(seen, objects=self.known.setdefault(places, seen.objects))


def _other(store: FeatureStore, cell: Cell, clip: ClipWork, own: ClipWork) -> np.ndarray | None:
    """The cell's features of a clip of another video, under its first text."""
    items = clip.items(cell.spec)
    if clip.video.id == own.video.id or not items or not store.is_committed(cell.spec.key, items[0]):
        return None
    return cell.read(store.get(cell.spec.key, items[0]))[1]
