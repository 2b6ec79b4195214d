"""Results in COCO's format about single images: finds their truths, and scores some of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool

from vdprobe.data.image_truth import ImageTruth, find_image_truths
from vdprobe.data.predictions import read_results
from vdprobe.data.rle import decode_segmentation
from vdprobe.errors import ConfigError, DataError, shown
from vdprobe.metrics.protocols.by_name import find_protocol
from vdprobe.metrics.protocols.images import ImageScore
from vdprobe.metrics.protocols.samples import ImageSample
from vdprobe.studies.evaluation import EvaluateConfig, Scored, Work, nothing_to_score

CHUNK = 256
"""Images that a process takes at a time."""
MOST_PIXELS = 2**29
"""Of all predictions of an image together, a byte each: they are compared with the truth at once."""


@dataclass(frozen=True)
class _Job:
    truth: ImageTruth
    results: list[Mapping[str, Any]]


def image_work(config: EvaluateConfig) -> Work:
    """Every truth with its results. Raises `DataError` when no result is of one of them."""
    if config.difficulty is not None:
        raise ConfigError(f"'{config.protocol}' tells no difficulty of its expressions; leave difficulty out")
    if config.only:
        raise ConfigError(f"'{config.protocol}' is about images, and --only names videos; leave it out")
    found = find_image_truths(config.dataset, config.split, config.protocol)
    unscored = tuple(f"{failure.where}: {failure.error}" for failure in found.failures)
    if not found.truths and unscored:
        raise nothing_to_score(config, unscored)
    results = read_results(config.predictions)
    known = {truth.image for truth in found.truths}
    if not known.intersection(results):
        ids = ", ".join(map(repr, list(results)[:3])) or "none"
        wanted = repr(found.truths[0].image) if found.truths else "none"
        raise DataError(
            f"{config.predictions} has no result for '{config.protocol}': its image ids are {ids}, and those of "
            f"{config.dataset} such as {wanted}; give results for that split"
        )
    jobs = [_Job(truth, results.get(truth.image, [])) for truth in found.truths]
    extra = tuple(str(id) for id in results if id not in known)
    return Work(jobs, CHUNK, partial(_score, config), extra, unscored)


def _score(config: EvaluateConfig, jobs: list[_Job]) -> Scored:
    protocol = find_protocol(config.protocol)
    records: list[ImageScore] = []
    unscored = []
    for job in jobs:
        try:
            truth = job.truth.mask()
        except DataError as error:
            unscored.append(f"{job.truth.image}: {error}")
        else:
            records += protocol.score(_sample(job, truth, config))
    return Scored(records, [], unscored)


def _sample(job: _Job, truth: Bool[np.ndarray, "H W"], config: EvaluateConfig) -> ImageSample:
    where = f"{config.predictions}, image {shown(job.truth.image)}"
    pixels = len(job.results) * truth.size
    if pixels > MOST_PIXELS:
        raise DataError(
            f"{where}: {len(job.results)} masks of {truth.shape[1]}x{truth.shape[0]} pixels are {pixels:,} pixels, "
            f"{MOST_PIXELS:,} are the most of an image; leave out the least sure"
        )
    masks = [decode_segmentation(result["segmentation"], truth.shape, where) for result in job.results]
    boxes = [result["bbox"] for result in job.results if result.get("bbox") is not None]
    box = job.truth.box
    return ImageSample(
        job.truth.image,
        truth,
        np.array(masks, dtype=bool).reshape(-1, *truth.shape),
        np.array([result["score"] for result in job.results], dtype=np.float64),
        None if box is None else np.array(box, dtype=np.float64),
        np.array(boxes, dtype=np.float64) if job.results and len(boxes) == len(job.results) else None,
    )
