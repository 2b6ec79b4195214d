"""Runs an analysis: extracts what the store lacks, measures view by view, writes tables and figures.

In its folder: `analysis.json` (configuration, specs, environment), `parts/` (a table for each view, so that
what was stopped goes on), `values.csv`, `summary.csv`, `differences.csv`, `failures.csv` and `figures/` (in it
`shown.json`, what they show); `pictures/` and `masks/` where the analysis has some.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from vdprobe.data.video import Failure
from vdprobe.errors import DataError
from vdprobe.extraction.plan import Plan, make_plan
from vdprobe.extraction.report import Report
from vdprobe.extraction.run import extract
from vdprobe.extraction.stores import make_store, open_store
from vdprobe.specs.canonical import canonical_hash, to_plain
from vdprobe.specs.spans import USUAL_RULE
from vdprobe.store.store import FeatureStore
from vdprobe.studies.analysis.analysis import Analysis, Direct, Gather
from vdprobe.studies.analysis.cells import View, make_views
from vdprobe.studies.analysis.config import AnalysisConfig
from vdprobe.studies.analysis.frame_rules import grouped_taps, with_rule
from vdprobe.studies.analysis.gathering import gather
from vdprobe.studies.analysis.lacking import require
from vdprobe.studies.analysis.measuring import measure_views
from vdprobe.studies.analysis.parts import Part
from vdprobe.studies.analysis.pictures import draw_pictures
from vdprobe.studies.analysis.table_files import write_table
from vdprobe.studies.analysis.tables import VALUES, Tables, make_tables, write_values
from vdprobe.studies.processes import kept_processes
from vdprobe.training.checkpoint import claim, replace_file

RECORD, SHOWN, PARTS, FIGURES, PICTURES = "analysis.json", "shown.json", "parts", "figures", "pictures"
MASKS = "masks"
Plans = Mapping[str, Sequence[tuple[int, Plan]]]
"""Of each backbone, its seeds and their extractions."""


@dataclass(frozen=True)
class Found:
    """What an analysis found, and where it lies.

    - `figures`: none where no two videos have a value, as there are no intervals then.
    - `failures`: videos, expressions and clips that are not in the tables, and why.
    - `notes`: what a reader of the tables should know of a backbone.
    """

    folder: Path
    tables: Tables
    figures: tuple[Path, ...]
    pictures: tuple[Path, ...]
    failures: tuple[Failure, ...]
    extracted: int
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """Functions that are told how far it is, each with the name of a backbone first; both are optional."""

    extracting: Callable[[str, Report], None] | None = None
    measuring: Callable[[str, int, int], None] | None = None


def run_analysis(
    analysis: Analysis,
    config: AnalysisConfig,
    out: Path,
    *,
    workers: int = 1,
    extracting: bool = True,
    progress: Progress | None = None,
) -> Found:
    """Does what is left of it; the same call again goes on, or draws again, also with another `config.shown`.

    - `extracting`: whether features that the store lacks are made; else they are an error.

    Raises `ConfigError` where `out` holds another analysis, and `DataError` when no sample can be measured, or
    features lack that may not be made.
    """
    began = time.monotonic()
    progress = progress or Progress()
    if not any(map(_has_rows, (out / VALUES, *(out / PARTS).glob("*.csv")))):
        _free(out)
    if isinstance(analysis.measure, Direct):
        claim(out, _record(analysis, config, ()), name=RECORD)
        return _finish(analysis, config, out, analysis.measure.parts(config, workers, progress.measuring), [], began)
    store = (make_store if extracting else open_store)(config.features.store)
    plans = {name: [(s.seed, make_plan(s)) for s in config.seeded(one)] for name, one in config.backbones().items()}
    views = _views(config, plans)
    record = _record(analysis, config, views)
    if (out / RECORD).exists():  # the folder of another analysis is refused before anything is extracted
        claim(out, record, name=RECORD)
    failures, extracted = _extract(plans, store, extracting, progress)
    claim(out, record, name=RECORD)
    (out / PARTS).mkdir(exist_ok=True)
    with kept_processes(workers):
        grouped = grouped_taps(views, store)
        parts = _parts(analysis, config, views, store, out / PARTS, workers, progress)
        if analysis.beyond is not None:
            parts = chain(parts, analysis.beyond(config, out / MASKS, extracting, progress.measuring))
        tell_rule = partial(with_rule, grouped=grouped, rule=config.frame_rule)
        found = _finish(analysis, config, out, parts, failures, began, tell_rule)
    pictures = tuple(draw_pictures(analysis, config, views, store, found.tables.summary, out / PICTURES))
    notes = tuple(f"{note} ({name})" for name, mine in plans.items() for note in mine[0][1].model.notes)
    return replace(found, pictures=pictures, extracted=extracted, seconds=time.monotonic() - began, notes=notes)


def _finish(
    analysis: Analysis,
    config: AnalysisConfig,
    out: Path,
    parts: Iterable[Part],
    failures: list[Failure],
    began: float,
    told: Callable[[pd.DataFrame], pd.DataFrame] = pd.DataFrame.copy,
) -> Found:
    """Tables and figures of all parts; `failures` are what failed before them, `told` is what a summary says too."""
    known = dict.fromkeys(failures)

    def values() -> Iterator[pd.DataFrame | Path]:
        for table, lacks in parts:
            known.update(dict.fromkeys(lacks))
            yield table

    write_values(values(), out)
    failures = list(known)
    write_table(out / "failures.csv", pd.DataFrame([(f.where, f.error) for f in failures], columns=["where", "error"]))
    try:
        found = make_tables(
            out, analysis.keys, analysis.factors, failures, needs=analysis.needs, compared=analysis.compared, told=told
        )
    except DataError:  # there is no value
        _free(out)
        raise
    figures = tuple(draw_figures(analysis, found, config, out / FIGURES))
    return Found(out, found, figures, (), tuple(failures), 0, time.monotonic() - began)


def _has_rows(path: Path) -> bool:
    """Whether a CSV has a line below its header."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return bool(file.readline() and file.readline())


def _free(out: Path) -> None:
    """Forgets an analysis that failed before anything was measured: the folder may be asked something else."""
    (out / RECORD).unlink(missing_ok=True)
    (out / VALUES).unlink(missing_ok=True)
    shutil.rmtree(out / PARTS, ignore_errors=True)


def draw_figures(analysis: Analysis, tables: Tables, config: AnalysisConfig, folder: Path) -> list[Path]:
    """The figures, from tables alone; none where no two videos have a value, as there are no intervals then."""
    if not ((tables.summary["count"] > 1) & ~tables.summary["control"]).any():
        return []
    folder.mkdir(parents=True, exist_ok=True)
    figures = analysis.draw(tables, config, folder)
    replace_file(folder / SHOWN, lambda part: part.write_text(json.dumps(asdict(config.shown)), "utf-8"))
    return figures


def _views(config: AnalysisConfig, plans: Plans) -> list[View]:
    views: list[View] = []
    seen: set[str] = set()
    for name, mine in plans.items():
        views += make_views(name, name in config.controls, mine, seen, config.frame_rule)
    return views


def _extract(plans: Plans, store: FeatureStore, extracting: bool, progress: Progress) -> tuple[list[Failure], int]:
    """What cannot be extracted, and how many items were."""
    failures: list[Failure] = []
    written = 0
    for name, plan in ((name, plan) for name, mine in plans.items() for _, plan in mine):
        if not extracting:
            require(plan, store)
            failures += [failure for failure in plan.failures if failure not in failures]
            continue
        tell = None if progress.extracting is None else partial(progress.extracting, name)
        report = extract(plan, store, on_progress=tell)
        written += report.written
        failures += [failure for failure in report.failures if failure not in failures]
        if report.stopped:
            raise DataError(f"the extraction of '{name}' stopped: {report.stopped}")
    return failures, written


def _record(analysis: Analysis, config: AnalysisConfig, views: Iterable[View]) -> dict[str, Any]:
    specs = {f"{v.name}, {s.label}": s.key for v in views for s in v.specs}
    clips = canonical_hash([[clip.video.id, clip.digest, clip.frames, clip.texts] for v in views for clip in v.clips])
    asked = {
        name: value for name, value in to_plain(config, keyed=True).items() if name != "shown"
    }  # changes no number
    if asked.get("frame_rule") == USUAL_RULE:  # as in folders of before there was another
        del asked["frame_rule"]
    return {"config": {"analysis": analysis.name, **asked}, "model": specs, "data": clips}


def _parts(
    analysis: Analysis,
    config: AnalysisConfig,
    views: Sequence[View],
    store: FeatureStore,
    parts: Path,
    workers: int,
    progress: Progress,
) -> Iterator[Part]:
    if isinstance(analysis.measure, Gather):
        tell = None if progress.measuring is None else partial(progress.measuring, config.subject)
        yield from gather(analysis.measure, analysis.keys, config, views, store, parts, workers, tell)
        return
    assert not isinstance(analysis.measure, Direct)
    yield from measure_views(analysis.measure, analysis.keys, config, views, store, parts, workers, progress.measuring)
