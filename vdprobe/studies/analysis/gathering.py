"""Measures unit by unit: cells that are looked at together, over all their clips."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

from vdprobe.specs.canonical import canonical_hash
from vdprobe.store.store import FeatureStore
from vdprobe.studies.analysis.analysis import Gather, Rows
from vdprobe.studies.analysis.cells import Cell, View
from vdprobe.studies.analysis.config import AnalysisConfig
from vdprobe.studies.analysis.parts import Part, read_part, write_part
from vdprobe.studies.analysis.statistics import video_values
from vdprobe.studies.processes import spread


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
    made = spread(partial(_rows, way, config, store.root), left, chunk=1, workers=workers, on_progress=on_progress)
    for (name, _), (rows, lacks) in zip(left, made, strict=True):
        table = video_values(pd.DataFrame(rows), keys) if rows else pd.DataFrame()
        yield write_part(parts, name, table, lacks)


def _name(unit: tuple[Cell, ...]) -> str:
    return canonical_hash([[cell.names, cell.view.lighting] for cell in unit])[:16]


def _rows(way: Gather, config: AnalysisConfig, root: Path, chunk: list[tuple[str, tuple[Cell, ...]]]) -> Rows:
    ((_, unit),) = chunk
    # one thread a process: as fast together, and the same values for any number of processes
    with threadpool_limits(1):
        return way.rows(unit, FeatureStore.open(root), config)
