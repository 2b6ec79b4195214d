"""Predicted masks of videos: finds the masks they are to equal, and scores some of the videos."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vdprobe.data.masks import as_one_object, is_one_object, read_labels, read_object_mask, shows_one_object
from vdprobe.data.names import nfc
from vdprobe.data.predictions import PredictionFiles, open_predictions, stands_twice
from vdprobe.data.subset import take_difficulty
from vdprobe.data.video import Video
from vdprobe.errors import ConfigError, DataError, one_line, shown
from vdprobe.metrics.protocols.by_name import find_protocol
from vdprobe.metrics.protocols.refdavis_referformer import ANNOTATORS
from vdprobe.metrics.protocols.samples import LabelSample, MaskSample, TruthError
from vdprobe.studies.benchmark_videos import benchmark_videos
from vdprobe.studies.evaluation import EvaluateConfig, Scored, Work, nothing_to_score

CHUNK = 4
"""Videos that a process takes at a time: it opens a zip once for them."""
LAYOUTS = {
    "davis-semi": "<video>/<frame>.png",
    "davis-unsup": "<video>/<frame>.png",
    "refdavis-referformer": "anno_0/<video>/<frame>.png to anno_3/...",
}
"""How predictions lie; `<video>/<expression>/<frame>.png` for the others."""
ONE_OBJECT = "masks hold 0 and 255 alone, as in DAVIS 2016: 255 is read as object 1, in predictions of such videos too"
ONE_OF_SEVERAL = "masks of 0 and 255 alone do not tell objects apart, but expressions mean others: take those of 2017"


@dataclass(frozen=True)
class VideoJob:
    """A video with what is scored of it: its expressions, or its labels in each of `parts`."""

    video: Video
    root: str
    parts: tuple[str, ...] = ()


def video_work(config: EvaluateConfig) -> Work:
    """Every video with masks. Raises `DataError` when there is none, or no prediction is of one of them."""
    kind = find_protocol(config.protocol).samples
    found = benchmark_videos(config.dataset, config.split, config.protocol, config.only)
    if config.difficulty is not None and kind is not MaskSample:
        raise ConfigError(f"'{config.protocol}' scores no single expressions; leave difficulty out")
    whole, found = found, take_difficulty(found, config.difficulty)
    unscored = [f"{failure.where}: {failure.error}" for failure in found.failures]
    parts: tuple[str, ...] = ()
    if kind is LabelSample:
        parts = ANNOTATORS if config.protocol == "refdavis-referformer" else ("",)
    videos = []
    for video in found.videos:
        if video.annotations is None or video.frame_names is None:
            unscored.append(f"{video.id}: it has no folders of frames and masks; unpack the dataset's Annotations")
            continue
        hidden = [expression for expression in video.expressions if expression.object_ids is None]
        if kind is MaskSample:
            unscored += [
                f"{video.id}/{expression.id}: the dataset hides which object it means" for expression in hidden
            ]
            video = replace(video, expressions=tuple(e for e in video.expressions if e.object_ids is not None))
        if kind is LabelSample or video.expressions:
            videos.append(video)
    if not videos:
        raise nothing_to_score(config, unscored)
    with open_predictions(config.predictions) as files:
        names = files.names()
    if (twice := stands_twice(names)) is not None:
        raise DataError(f"{config.predictions} holds {shown(twice)} twice; write it anew instead of adding to it")
    root = "Annotations/" if kind is MaskSample and any(name.startswith("Annotations/") for name in names) else ""
    jobs = [VideoJob(video, root, parts) for video in videos]
    asked = {f"{root}{video.id}/{e.id}" for video in found.videos for e in video.expressions}
    others = {f"{root}{video.id}/{e.id}" for video in whole.videos for e in video.expressions} - asked
    extra = tuple(name for name in _extra(config, jobs, names) if name not in {nfc(other) for other in others})
    return Work(jobs, CHUNK, partial(_score, config), extra, tuple(unscored))


def _extra(config: EvaluateConfig, jobs: Sequence[VideoJob], names: Sequence[str]) -> tuple[str, ...]:
    """Predictions that nothing asks for. Raises `DataError` when that is all."""
    places = {nfc(place) for job in jobs for place in _places(job)}
    expected = {nfc(f"{place}/{stem}.png") for job in jobs for place in _places(job) for stem in _stems(job.video)}
    if not expected.intersection(names):
        layout = LAYOUTS.get(config.protocol, "<video>/<expression>/<frame>.png")
        holds = one_line(", ".join(names[:3])) or "nothing"
        raise DataError(
            f"{config.predictions} holds no prediction for '{config.protocol}': looked for {layout}, such as "
            f"{min(expected)}, and it holds {holds}; give the folder in which those lie"
        )
    return tuple(dict.fromkeys(_name_extra(name, places) for name in names if name not in expected))


def _name_extra(name: str, places: set[str]) -> str:
    """How to name a file that nothing asked for: by its folder, unless that one holds what was asked for."""
    folder = name.rpartition("/")[0]
    return name if folder in places or not folder else folder


def _places(job: VideoJob) -> list[str]:
    """The folders of a video's predictions."""
    if job.parts:
        return [f"{part}/{job.video.id}".lstrip("/") for part in job.parts]
    return [f"{job.root}{job.video.id}/{expression.id}" for expression in job.video.expressions]


def _stems(video: Video) -> tuple[str, ...]:
    assert video.frame_names is not None
    return tuple(Path(name).stem for name in video.frame_names)


def _score(config: EvaluateConfig, jobs: list[VideoJob]) -> Scored:
    protocol = find_protocol(config.protocol)
    read_samples = _label_samples if protocol.samples is LabelSample else _expression_samples
    records: list[Any] = []
    unscored: list[str] = []
    with open_predictions(config.predictions) as files:
        for job in jobs:
            samples, faults = read_samples(job, files)
            unscored += faults
            for sample in samples:
                try:
                    records += protocol.score(sample)
                except TruthError as error:
                    unscored.append(str(error))
    facts = [(fact, job.video.id) for job in jobs for fact in _facts(job.video)]
    return Scored(records, facts, list(dict.fromkeys(unscored)))


def _facts(video: Video) -> Iterator[str]:
    if shows_one_object(video):
        yield ONE_OBJECT
        if any(id != "1" for expression in video.expressions for id in expression.object_ids or ()):
            yield ONE_OF_SEVERAL


def _label_samples(job: VideoJob, files: PredictionFiles) -> tuple[Iterable[LabelSample], list[str]]:
    """The samples of a video, and what is wrong with its truth: one bad mask leaves nothing of it to score."""
    stems = _stems(job.video)
    truth, faults = _read_truth(partial(read_labels, job.video), range(len(stems)))
    if truth is None:
        return (), [f"{job.video.id}: {fault}" for fault in faults]
    return _labelled(job, files, stems, truth), []


def _labelled(
    job: VideoJob, files: PredictionFiles, stems: tuple[str, ...], truth: UInt8[np.ndarray, "T H W"]
) -> Iterator[LabelSample]:
    for part, place in zip(job.parts, _places(job), strict=True):
        prediction, missing = _read_predictions(files, place, stems, truth.shape[1:])
        if shows_one_object(job.video) and is_one_object(prediction):
            prediction = as_one_object(prediction)
        yield LabelSample(job.video.id, stems, truth, prediction, missing, part)


def _expression_samples(job: VideoJob, files: PredictionFiles) -> tuple[Iterable[MaskSample], list[str]]:
    """The samples of the expressions with a whole truth, and what is wrong with that of the others."""
    kept, lines = [], []
    truths: dict[tuple[str, ...], np.ndarray] = {}
    faults: dict[tuple[str, ...], list[str]] = {}
    for expression in job.video.expressions:
        objects = expression.object_ids or ()
        if objects not in truths and objects not in faults:  # several expressions mean one object
            read = partial(read_object_mask, job.video, objects)
            truth, found = _read_truth(read, range(len(_stems(job.video))))
            if truth is None:
                faults[objects] = found
            else:
                truths[objects] = truth
        if objects in truths:
            kept.append(expression)
        else:
            lines += [f"{job.video.id}/{expression.id}: {fault}" for fault in faults[objects]]
    whole = replace(job, video=replace(job.video, expressions=tuple(kept)))
    return mask_samples(whole, files, truths), lines


def _read_truth(
    read: Callable[[Sequence[int]], np.ndarray], frames: Sequence[int]
) -> tuple[np.ndarray | None, list[str]]:
    """The truth of some frames; None where that of one is bad, with a line for each that is.

    The others are not scored: a mean over fewer frames would be another score.
    """
    try:
        return read(frames), []
    except DataError:
        found = []
        for frame in frames:
            try:
                read((frame,))
            except DataError as error:
                found.append(str(error))
        return None, list(dict.fromkeys(found))


def mask_samples(
    job: VideoJob, files: PredictionFiles, truths: Mapping[tuple[str, ...], np.ndarray] | None = None
) -> Iterator[MaskSample]:
    """Prediction and truth of each expression of a video; `truths` are those that are read already, by their objects.

    Raises `DataError` for masks that cannot be read.
    """
    stems, video = _stems(job.video), job.video
    known = dict(truths or {})
    for expression, place in zip(video.expressions, _places(job), strict=True):
        objects = expression.object_ids or ()
        if objects not in known:  # several expressions mean one object
            known[objects] = read_object_mask(video, objects, range(len(stems)))
        truth = known[objects]
        prediction, missing = _read_predictions(files, place, stems, truth.shape[1:])
        yield MaskSample(video.id, expression.id, ",".join(objects), stems, truth, prediction > 0, missing)


def _read_predictions(
    files: PredictionFiles, place: str, stems: Sequence[str], size: tuple[int, ...]
) -> tuple[np.ndarray, frozenset[str]]:
    """Labels of every frame, 0 where there are none, and the frames that have none."""
    out, missing = np.zeros((len(stems), *size), dtype=np.uint8), set()
    for labels, stem in zip(out, stems, strict=True):
        name = f"{place}/{stem}.png"
        found = files.labels(name)
        if found is None:
            missing.add(stem)
        elif found.shape != size:
            raise DataError(
                f"{files.path}: {name} is {found.shape[1]}x{found.shape[0]} pixels and the truth {size[1]}x{size[0]}; "
                "write masks at the size of the frames"
            )
        else:
            labels[:] = found
    return out, frozenset(missing)
