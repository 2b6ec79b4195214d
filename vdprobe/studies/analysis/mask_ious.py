"""The IoU of predicted masks on disk with the true ones, frame by frame."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from vdprobe.data.names import nfc
from vdprobe.data.predictions import open_predictions
from vdprobe.data.video import Failure, Video
from vdprobe.errors import DataError, VdprobeError
from vdprobe.extraction.config import VideoConfig
from vdprobe.extraction.plan import wanted_videos
from vdprobe.metrics.region import region_similarity
from vdprobe.studies.evaluate_videos import VideoJob, mask_samples


@dataclass(frozen=True, eq=False)
class MaskIoU:
    """Of one expression in every frame, in [0, 1]."""

    video: str
    expression: str
    iou: Float64[np.ndarray, " T"]


def masked_videos(wanted: VideoConfig) -> tuple[list[Video], list[Failure]]:
    """Videos with the expressions of which every frame's true mask is there, and what is not of that kind."""
    found = wanted_videos(wanted)
    videos, failures = [], list(found.failures)
    for video in found.videos:
        if video.annotations is None or video.frame_names is None:
            failures.append(Failure(video.id, "has no folders of frames and masks; give a dataset that has them"))
            continue
        known = [e for e in video.expressions if e.object_ids is not None and e.frame is None]
        unknown = [e for e in video.expressions if e not in known]
        failures += [Failure(f"{video.id}/{e.id}", "has no true mask in every frame to compare with") for e in unknown]
        videos.append(replace(video, expressions=tuple(known)))
    return videos, failures


def find_root(path: Path, videos: Sequence[Video]) -> str:
    """What stands before `<video>/<expression>/<frame>.png` in a folder or zip of predictions.

    Raises `DataError` where no file is a prediction of one of the videos.
    """
    with open_predictions(path) as files:
        there = files.names()
    root = "Annotations/" if any(file.startswith("Annotations/") for file in there) else ""
    wanted = [nfc(f"{root}{video.id}/{e.id}") for video in videos for e in video.expressions]
    if not {file.rpartition("/")[0] for file in there}.intersection(wanted):
        holds = ", ".join(there[:3]) or "nothing"
        raise DataError(
            f"{path} holds no prediction of these videos: looked for <video>/<expression>/<frame>.png, such as "
            f"{min(wanted, default='none')}/..., and it holds {holds}; give the folder in which those lie"
        )
    return root


def read_ious(path: Path, root: str, videos: Sequence[Video]) -> tuple[list[MaskIoU], list[Failure]]:
    """Of every expression that is predicted in all frames; the others are failures."""
    found: list[MaskIoU] = []
    failures: list[Failure] = []
    with open_predictions(path) as files:
        for video in videos:
            try:
                for sample in mask_samples(VideoJob(video, root), files):
                    if sample.missing:
                        what = f"{len(sample.missing)} of {len(sample.frames)} frames have no mask in {path}"
                        failures.append(Failure(f"{video.id}/{sample.expression}", f"{what}; predict them all"))
                    else:
                        iou = region_similarity(sample.prediction, sample.truth)
                        found.append(MaskIoU(video.id, sample.expression, iou))
            except VdprobeError as error:
                failures.append(Failure(video.id, str(error)))
    return found, failures
