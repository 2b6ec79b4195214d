"""Some of the predictions as pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from vdprobe.data.frames import frame_size
from vdprobe.data.rle import decode_rle
from vdprobe.data.video import Expression
from vdprobe.errors import DataError
from vdprobe.studies.predict.jobs import Job
from vdprobe.studies.predict.log import Prediction, PredictionLog
from vdprobe.studies.predict.mask_files import Benchmark, expression_folder, frame_files, read_mask
from vdprobe.studies.predict.overlays import Overlay, draw_film, draw_overview, spread_evenly

FOLDER, SHEET = "overlays", "sheet.png"


def draw_examples(
    out: Path, benchmark: Benchmark, jobs: Sequence[Job], log: PredictionLog, count: int
) -> tuple[Path, ...]:
    """Draws so many of the predictions of finished jobs: a film of each, unless it is of one frame, and one sheet.

    They are spread evenly over all, and lie in `out/overlays`, the films as `<video>/<expression>.mp4`.
    """
    there = [(job, expression) for job in jobs for expression in job.expressions]
    if not there or not count:
        return ()
    overlays, films = [], []
    try:
        for job, expression in spread_evenly(there, count):
            overlays.append(_overlay(out, benchmark, job, expression, log.found[job.video.id, expression.id]))
            if job.frame is None:
                films.append(out / FOLDER / job.video.id / f"{expression.id}.mp4")
                films[-1].parent.mkdir(parents=True, exist_ok=True)
                draw_film(overlays[-1], films[-1])
        (out / FOLDER).mkdir(exist_ok=True)
        draw_overview(overlays, out / FOLDER / SHEET)
    except OSError as error:
        raise DataError(
            f"cannot draw into {out / FOLDER}: {error.strerror or error}; free space, run it again"
        ) from error
    return (out / FOLDER / SHEET, *films)


def _overlay(out: Path, benchmark: Benchmark, job: Job, expression: Expression, prediction: Prediction) -> Overlay:
    frames = tuple(range(job.frames)) if job.frame is None else (job.frame,)
    scores = prediction.scores if job.frame is None else (prediction.score,)
    read = _from_results(job, prediction) if job.frame is not None else _from_files(out, benchmark, job, expression)
    return Overlay(f"{job.video.id}/{expression.id}", expression.text, job.video, frames, scores, read)


def _from_files(
    out: Path, benchmark: Benchmark, job: Job, expression: Expression
) -> Callable[[int], Bool[np.ndarray, "H W"]]:
    folder, names = expression_folder(out, benchmark, job.video.id, expression.id), frame_files(job.video, job.frames)
    return lambda frame: read_mask(folder / names[frame])


def _from_results(job: Job, prediction: Prediction) -> Callable[[int], Bool[np.ndarray, "H W"]]:
    best = max(prediction.results, key=lambda result: result["score"])
    where = f"{prediction.video}/{prediction.expression}"
    return lambda frame: decode_rle(best["segmentation"], frame_size(job.video, frame), where)
