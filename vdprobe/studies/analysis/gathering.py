"""Measures unit by unit: cells that are looked at together, over all their clips."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from vdprobe.data.video import Failure
from vdprobe.specs.canonical import canonical_hash
from vdprobe.store.store import FeatureStore
from vdprobe.studies.analysis.analysis import Gather, Rows
from vdprobe.studies.analysis.cells import Cell, View
from vdprobe.studies.analysis.config import AnalysisConfig
from vdprobe.studies.analysis.parts import Part, read_part, write_part
from vdprobe.studies.analysis.statistics import video_values
from vdprobe.studies.analysis.table_files import csv_text
from vdprobe.studies.processes import spread

AT_ONCE = 10_000
"""Rows of samples that are in memory, and those of one more video: 10 MB."""


def gather(
    way: Gather,
    keys: Sequence[str],
    config: AnalysisConfig,
    views: Sequence[View],
    store: FeatureStore,
    parts: Path,
    workers: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[Part]:
    """The values of each video in each unit, from the parts that were written before as far as there are."""
    units = {_name(unit): unit for unit in way.units(views, config)}
    left = []
    for name, unit in units.items():
        if (part := read_part(parts, name)) is None:
            left.append((name, unit))
        else:
            yield part
    task = partial(_measure_unit, way, keys, config, store, parts)
    yield from spread(task, left, chunk=1, workers=workers, on_progress=on_progress)


def _name(unit: tuple[Cell, ...]) -> str:
    return canonical_hash([[cell.names, cell.view.lighting] for cell in unit])[:16]


def _measure_unit(
    way: Gather,
    keys: Sequence[str],
    config: AnalysisConfig,
    store: FeatureStore,
    parts: Path,
    chunk: Sequence[tuple[str, tuple[Cell, ...]]],
) -> Part:
    ((name, unit),) = chunk
    # one thread a process: as fast together, and the same values for any number of processes
    with threadpool_limits(1):
        return write_part(parts, name, _texts(way.rows(unit, store, config), keys))


def _texts(made: Iterable[Rows], keys: Sequence[str]) -> Iterator[tuple[str, list[Failure]]]:
    """Of the CSVs of some videos at a time: a table for each would take longer than to measure it."""
    rows: list[dict[str, Any]] = []
    lacks: list[Failure] = []
    for of_video, missing in made:
        rows += of_video
        lacks += missing
        if len(rows) >= AT_ONCE:
            yield csv_text(video_values(rows, keys)), lacks
            rows, lacks = [], []
    yield csv_text(video_values(rows, keys)), lacks
