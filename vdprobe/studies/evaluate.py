"""Predictions on disk to a report: finds the truth in a dataset, and scores videos in several processes."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vdprobe.data.coco_truth import ImageTruth, read_image_truth
from vdprobe.data.masks import read_labels, read_object_mask
from vdprobe.data.predictions import PredictionFiles, open_predictions, read_results
from vdprobe.data.rle import decode_segmentation
from vdprobe.data.video import Video
from vdprobe.errors import ConfigError, DataError
from vdprobe.metrics.protocols.by_name import find_protocol
from vdprobe.metrics.protocols.protocol import Report, make_report
from vdprobe.metrics.protocols.refdavis_referformer import ANNOTATORS
from vdprobe.metrics.protocols.samples import ImageSample, LabelSample, MaskSample
from vdprobe.metrics.protocols.tracks import Track
from vdprobe.studies.benchmark_videos import benchmark_videos
from vdprobe.studies.processes import spread

CHUNK = 4
"""Videos that a process takes at a time: it opens a zip once for them."""
IMAGE_CHUNK = 256
LAYOUTS = {
    "davis-semi": "<video>/<frame>.png",
    "davis-unsup": "<video>/<frame>.png",
    "refdavis-referformer": "anno_0/<video>/<frame>.png to anno_3/...",
}
"""How predictions lie; `<video>/<expression>/<frame>.png` for the others."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What to score.

    - `predictions`: a folder or zip of masks, or a JSON of COCO results, as the protocol's benchmark takes them.
    - `dataset`: a folder with masks, or the JSON of annotations for a2d, jhmdb and refcoco.
    - `only`: ids of the videos to score; all where it is empty.
    """

    protocol: str
    predictions: Path
    dataset: Path
    split: str = "valid"
    only: tuple[str, ...] = ()


def run_evaluation(
    config: EvaluateConfig, *, workers: int = 1, on_progress: Callable[[int, int], None] | None = None
) -> Report:
    """The report of a protocol; the same for any number of `workers`, which are processes of their own.

    `on_progress` gets (videos scored, all of them), or images. With several workers a script must guard
    its main code, as `multiprocessing` asks. Raises `DataError` when no prediction is where it should
    be, or one cannot be read or would be refused by the benchmark.
    """
    protocol = find_protocol(config.protocol)
    if not config.predictions.exists():
        raise DataError(f"there is no {config.predictions}; give the folder, zip or JSON of your predictions")
    work = _image_work(config) if protocol.samples is ImageSample else _video_work(config, protocol.samples)
    score = partial(_score, config)
    made = spread(score, work.jobs, chunk=work.chunk, workers=workers, on_progress=on_progress)
    records = [record for records in made for record in records]
    return make_report(protocol, records, extra=work.extra, unscored=work.unscored, notes=_blank(records))


def _blank(records: list[Any]) -> Iterator[str]:
    """What to say of objects that no mask shows. Raises `DataError` when that is all of them."""
    tracks = [record for record in records if isinstance(record, Track)]
    blank = [track for track in tracks if track.object and not track.truth_area.any()]
    if not blank:
        return
    first = f"{blank[0].video}/{blank[0].expression}".rstrip("/")
    if len(blank) == len(tracks):
        raise DataError(
            f"no mask of the dataset shows what is asked for, such as object {blank[0].object} of {first}: "
            "do the masks hold the object's number as pixel value, or 0 and 255?"
        )
    yield f"{len(blank)} of {len(tracks)} objects are in no mask of their video, and scored so; the first is {first}"


def write_report(report: Report, config: EvaluateConfig, folder: Path) -> tuple[Path, Path]:
    """`report.json`, with the configuration, and `rows.csv` in a folder that is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        summary, rows = folder / "report.json", folder / "rows.csv"
        plain = {
            **report.to_plain(),
            "predictions": str(config.predictions),
            "dataset": str(config.dataset),
            "split": config.split,
            "only": list(config.only),
        }
        rows.write_text(report.to_csv(), encoding="utf-8")
        summary.write_text(json.dumps(plain, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write to {folder}: {error.strerror}; give another --out") from error
    return summary, rows


@dataclass(frozen=True)
class _Work:
    """Jobs, how many a process takes at a time, and what is known before any is done."""

    jobs: list[Any]
    chunk: int
    extra: tuple[str, ...]
    unscored: tuple[str, ...] = ()


@dataclass(frozen=True)
class _VideoJob:
    """A video with what is scored of it: its expressions, or its labels in each of `parts`."""

    video: Video
    root: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class _ImageJob:
    truth: ImageTruth
    results: list[Mapping[str, Any]]


def _score(config: EvaluateConfig, chunk: list[Any]) -> list[Any]:
    protocol = find_protocol(config.protocol)
    if protocol.samples is ImageSample:
        return [record for job in chunk for record in protocol.score(_image_sample(job, config))]
    with open_predictions(config.predictions) as files:
        sample = _label_samples if protocol.samples is LabelSample else _mask_samples
        return [record for job in chunk for made in sample(job, files) for record in protocol.score(made)]


def _video_work(config: EvaluateConfig, kind: type) -> _Work:
    found = benchmark_videos(config.dataset, config.split, config.protocol, config.only)
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
        first = f", such as {unscored[0]}" if unscored else ""
        raise DataError(
            f"split '{config.split}' of {config.dataset} has nothing to score by '{config.protocol}': {len(unscored)} "
            f"things have no truth{first}"
        )
    with open_predictions(config.predictions) as files:
        names = files.names()
    root = "Annotations/" if kind is MaskSample and any(name.startswith("Annotations/") for name in names) else ""
    places = [place for video in videos for place in _places(video, root, parts)]
    expected = {
        f"{place}/{Path(frame).stem}.png"
        for video in videos
        for place in _places(video, root, parts)
        for frame in video.frame_names or ()
    }
    if not expected.intersection(names):
        layout = LAYOUTS.get(config.protocol, "<video>/<expression>/<frame>.png")
        holds = ", ".join(names[:3]) or "nothing"
        raise DataError(
            f"{config.predictions} holds no prediction for '{config.protocol}': looked for {layout}, such as "
            f"{min(expected)}, and it holds {holds}; give the folder in which those lie"
        )
    extra = tuple(dict.fromkeys(_extra(name, set(places)) for name in names if name not in expected))
    jobs = [_VideoJob(video, root, parts) for video in videos]
    return _Work(jobs, CHUNK, extra, tuple(unscored))


def _places(video: Video, root: str, parts: Sequence[str]) -> list[str]:
    """The folders of a video's predictions."""
    if parts:
        return [f"{part}/{video.id}".lstrip("/") for part in parts]
    return [f"{root}{video.id}/{expression.id}" for expression in video.expressions]


def _extra(name: str, places: set[str]) -> str:
    """How to name a file that nothing asked for: by its folder, unless that one holds what was asked for."""
    folder = name.rpartition("/")[0]
    return name if folder in places or not folder else folder


def _stems(video: Video) -> tuple[str, ...]:
    assert video.frame_names is not None
    return tuple(Path(name).stem for name in video.frame_names)


def _label_samples(job: _VideoJob, files: PredictionFiles) -> Iterator[LabelSample]:
    stems = _stems(job.video)
    truth = read_labels(job.video, range(len(stems)))
    for part, place in zip(job.parts, _places(job.video, job.root, job.parts), strict=True):
        prediction, missing = _read_predictions(files, place, stems, truth.shape[1:])
        yield LabelSample(job.video.id, stems, truth, prediction, missing, part)


def _mask_samples(job: _VideoJob, files: PredictionFiles) -> Iterator[MaskSample]:
    stems, video = _stems(job.video), job.video
    truths: dict[tuple[str, ...], np.ndarray] = {}  # several expressions mean one object
    for expression, place in zip(video.expressions, _places(video, job.root, ()), strict=True):
        objects = expression.object_ids or ()
        if objects not in truths:
            truths[objects] = read_object_mask(video, objects, range(len(stems)))
        truth = truths[objects]
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


def _image_work(config: EvaluateConfig) -> _Work:
    if config.only:
        raise ConfigError(f"'{config.protocol}' is about images, and --only names videos; leave it out")
    truths = read_image_truth(config.dataset, config.protocol)
    results = read_results(config.predictions)
    known = {truth.image for truth in truths}
    if not known.intersection(results):
        ids = ", ".join(map(repr, list(results)[:3])) or "none"
        wanted = repr(truths[0].image) if truths else "none"
        raise DataError(
            f"{config.predictions} has no result for '{config.protocol}': its image ids are {ids}, and those of "
            f"{config.dataset} such as {wanted}; give results for that split"
        )
    jobs = [_ImageJob(truth, results.get(truth.image, [])) for truth in truths]
    return _Work(jobs, IMAGE_CHUNK, tuple(str(id) for id in results if id not in known))


def _image_sample(job: _ImageJob, config: EvaluateConfig) -> ImageSample:
    truth, where = job.truth, f"{config.predictions}, image {job.truth.image!r}"
    masks = [decode_segmentation(result["segmentation"], truth.size, where) for result in job.results]
    for mask in masks:
        if mask.shape != truth.size:
            sizes = [f"{width}x{height}" for height, width in (mask.shape, truth.size)]
            raise DataError(f"{where}: a mask is {sizes[0]} pixels and the truth {sizes[1]}; write it at that size")
    boxes = [result["bbox"] for result in job.results if result.get("bbox") is not None]
    return ImageSample(
        truth.image,
        decode_segmentation(truth.segmentation, truth.size, f"{config.dataset}, image {truth.image!r}"),
        np.array(masks, dtype=bool).reshape(-1, *truth.size),
        np.array([result["score"] for result in job.results], dtype=np.float64),
        None if truth.box is None else np.array(truth.box, dtype=np.float64),
        np.array(boxes, dtype=np.float64) if job.results and len(boxes) == len(job.results) else None,
    )
