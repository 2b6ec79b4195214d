"""From a head and videos to masks: what the store lacks is extracted, what is not predicted yet is predicted."""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vdprobe.data.layouts import DATASETS
from vdprobe.data.sources import find_layout
from vdprobe.data.video import Failure
from vdprobe.errors import ConfigError, StoreError, StoreUnusableError, suggest
from vdprobe.extraction.plan import Plan, make_plan
from vdprobe.extraction.report import Report
from vdprobe.extraction.run import extract
from vdprobe.extraction.stores import make_store, store_root
from vdprobe.head.files import load_head
from vdprobe.head.words import WordEncoder
from vdprobe.models.networks.device import pick_device
from vdprobe.specs.canonical import to_plain
from vdprobe.specs.environment import environment
from vdprobe.specs.spans import USUAL_RULE
from vdprobe.store.store import FeatureStore
from vdprobe.studies.predict.config import PredictConfig, find_benchmark
from vdprobe.studies.predict.examples import draw_examples
from vdprobe.studies.predict.fit import check_fit, list_changes
from vdprobe.studies.predict.head_folder import HeadFolder
from vdprobe.studies.predict.jobs import Job, make_jobs
from vdprobe.studies.predict.log import PredictionLog
from vdprobe.studies.predict.make import Maker
from vdprobe.studies.predict.mask_files import (
    IN_FRAMES,
    MASKS,
    OBJECTS,
    Benchmark,
    frame_files,
    holds,
)
from vdprobe.studies.predict.predicted import Predicted
from vdprobe.studies.submit import LAYOUTS, Submission, check_new_zip, write_submission
from vdprobe.training.cached_clips import CachedClips, pipeline_of
from vdprobe.training.checkpoint import claim, replace_file
from vdprobe.training.head_training import WORDS

RECORD, LOG, RESULTS = "predict.json", "predictions.jsonl", "results.json"


@dataclass(frozen=True)
class Extras:
    """What is made of the predictions on top: pictures of so many, and a zip for the benchmark's server."""

    overlays: int = 0
    zip: Path | None = None


def run_prediction(
    config: PredictConfig,
    found: HeadFolder,
    out: Path,
    extras: Extras | None = None,
    *,
    on_extract: Callable[[Report], None] | None = None,
    on_predict: Callable[[int, int, int], None] | None = None,
) -> Predicted:
    """Predicts every expression into the folder `out`; run again, it goes on where it was.

    Below `out` lie `masks/` or `results.json`, for DAVIS also `objects/`, `predictions.jsonl` with a line for each
    expression, `overlays/` and `predict.json`, which tells it all. What concerns one video or expression is listed
    in `failures` and the rest goes on. `on_predict` gets (expressions made now, all of them, made before).

    Raises `ConfigError` where `out` holds predictions of another head or configuration, `ModelError` for a head
    that does not fit the features, `StoreUnusableError` for a store that takes no more.
    """
    began = time.monotonic()
    extras = extras or Extras()
    benchmark = find_benchmark(config)
    plan = make_plan(config.features)
    jobs, unusable = make_jobs(plan, benchmark)
    _check(config, extras, benchmark, jobs)
    device = pick_device(config.features.model.device)
    head = load_head(found.folder).to(device)
    root = store_root(config.features.store)
    store = make_store(config.features.store)
    cached = CachedClips.of(plan, store, timestep=config.timestep, levels=config.levels, frame_rule=config.frame_rule)
    words = WordEncoder.load(config.words, pipeline_of(plan), device, cache=root / WORDS, text_case=config.text_case)
    check_fit(head, words, config, plan)
    record = _describe(config, found, benchmark, cached, words)
    claim(out, record, name=RECORD, begun=(out / LOG).exists() and (out / LOG).stat().st_size > 0)
    log = PredictionLog(out / LOG)
    pending = [job for job in jobs if not _is_done(job, log, out, benchmark)]
    already = _count(jobs) - _count(pending)
    failures, notes = [*plan.failures, *unusable], [*found.notes, *list_changes(config, found, plan, words)]
    if pending:
        report = _extract(plan, pending, store, on_extract)
        failures += report.failures
        notes += [f"{fact} ({len(places)}, such as {places[0]})" for fact, places in report.notes.items()]
        words.fill(expression.text for job in pending for expression in job.expressions)
        notes += words.notes()
        maker = Maker(config, benchmark, head, cached, words, out)
        failures += _predict(maker, pending, log, already, on_predict)
    done = [job for job in jobs if _is_done(job, log, out, benchmark)]
    predictions = tuple(log.found[job.video.id, expression.id] for job in done for expression in job.expressions)
    made = Predicted(
        record=out / RECORD,
        benchmark=benchmark,
        predictions=predictions,
        already=already,
        failures=tuple(failures),
        notes=tuple(notes),
        places=_places(out, benchmark),
        pictures=draw_examples(out, benchmark, done, log, extras.overlays),
        submission=_submit(config, out, benchmark, extras.zip),
        seconds=time.monotonic() - began,
    )
    if benchmark in IN_FRAMES:
        _write_json(out / RESULTS, [result for prediction in predictions for result in prediction.results])
    told = {"asked": to_plain(config), "head": str(found.folder), **made.to_plain()}
    _write_json(made.record, record | environment("zarr") | {"predicted": told})
    return made


def _check(config: PredictConfig, extras: Extras, benchmark: Benchmark, jobs: Sequence[Job]) -> None:
    """What would fail in the end fails here, before hours of work."""
    if config.features.clips.kind == "centred" and benchmark not in IN_FRAMES:
        raise ConfigError(
            f"clips of kind 'centred' give one frame a mask, and '{benchmark}' asks for all frames: set "
            f"features.clips.kind=windows, or take one of the benchmarks {', '.join(IN_FRAMES)}"
        )
    if extras.overlays < 0:
        raise ConfigError(f"overlays (={extras.overlays}) must be at least 0")
    if extras.zip is None:
        return
    if benchmark not in LAYOUTS:
        raise ConfigError(f"benchmark '{benchmark}' has no zip; {suggest(benchmark, LAYOUTS)}")
    check_new_zip(extras.zip)
    if any("/" in job.description.place for job in jobs if job.description is not None):
        raise ConfigError(
            "a zip for DAVIS holds each object once, and here several people describe it: leave --zip out and zip one "
            f"of {OBJECTS}/anno_0, ... with `vdprobe submit`, or set features.videos.texts_per_object=1"
        )


def _describe(
    config: PredictConfig, found: HeadFolder, benchmark: Benchmark, cached: CachedClips, words: WordEncoder
) -> dict[str, Any]:
    """What decides the masks."""
    # What was not to be chosen before is left out where it is as it was, so that earlier predictions go on.
    chosen = (
        ("text_case", config.text_case, "lower"),
        ("threshold", config.threshold, 0.5),
        ("frame_rule", config.frame_rule, USUAL_RULE),
    )
    return {
        "config": {
            "head": found.digest,
            "benchmark": benchmark,
            "query": config.query,
            "timestep": cached.timestep,
            "levels": to_plain(cached.names),
            "videos": to_plain(config.features.videos),
        }
        | {name: value for name, value, before in chosen if value != before},
        "model": {
            "specs": {spec.label: spec.key for spec in cached.specs},
            "words": words.identity,
        },
        "data": None,
    }


def _is_done(job: Job, log: PredictionLog, out: Path, benchmark: Benchmark) -> bool:
    """Whether all of a job is written down and lies in its place, of the same content of the video."""
    for expression in job.expressions:
        made = log.found.get((job.video.id, expression.id))
        if made is None or (made.text, made.digest) != (expression.text, job.clips[0].digest):
            return False
    names = frame_files(job.video, job.frames)
    return all(holds(folder, names) for folder in job.folders(out, benchmark))


def _extract(
    plan: Plan, pending: Sequence[Job], store: FeatureStore, on_progress: Callable[[Report], None] | None
) -> Report:
    """Fills the store with what the pending jobs need and it lacks."""
    clips = tuple(dict.fromkeys(clip for job in pending for clip in job.clips))
    report = extract(replace(plan, clips=clips, failures=()), store, on_progress=on_progress)
    if report.stopped is not None:
        raise StoreUnusableError(report.stopped)
    return report


def _predict(
    maker: Maker,
    pending: Sequence[Job],
    log: PredictionLog,
    before: int,
    on_progress: Callable[[int, int, int], None] | None,
) -> list[Failure]:
    failures, made = [], 0
    for job in pending:
        try:
            for prediction in maker.make(job):
                log.add(prediction)
        except StoreError as error:
            failures.append(Failure(job.name, str(error)))
        made += len(job.expressions)
        if on_progress is not None:
            on_progress(made, before + _count(pending), before)
    return failures


def _count(jobs: Sequence[Job]) -> int:
    """Expressions, of which a job may have several."""
    return sum(len(job.expressions) for job in jobs)


def _places(out: Path, benchmark: Benchmark) -> tuple[Path, ...]:
    names = (RESULTS,) if benchmark in IN_FRAMES else (MASKS, OBJECTS) if benchmark == "davis" else (MASKS,)
    return tuple(out / name for name in names)


def _submit(config: PredictConfig, out: Path, benchmark: Benchmark, path: Path | None) -> Submission | None:
    if path is None:
        return None
    videos = config.features.videos
    source = Path(videos.path).expanduser()
    dataset = source if find_layout(source, videos.layout) in DATASETS else None
    folder = out / (OBJECTS if benchmark == "davis" else MASKS)
    return write_submission(folder, benchmark, path, dataset=dataset, split=videos.split, workers=os.cpu_count() or 1)


def _write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    replace_file(path, lambda part: part.write_text(text, "utf-8"))
