"""One job done: masks through the head, into files that come into sight when they are whole."""

import math
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vdprobe.data.reserve import reserve
from vdprobe.data.rle import encode_rle
from vdprobe.data.sample_truth import image_id
from vdprobe.data.video import Expression
from vdprobe.errors import DataError, FeatureError
from vdprobe.head.head import Head
from vdprobe.head.words import WordEncoder
from vdprobe.studies.predict.config import PredictConfig
from vdprobe.studies.predict.davis_objects import merge_objects
from vdprobe.studies.predict.jobs import Job
from vdprobe.studies.predict.log import Prediction
from vdprobe.studies.predict.mask_files import (
    Benchmark,
    frame_files,
    write_labels,
    write_mask,
)
from vdprobe.training.cached_clips import CachedClips
from vdprobe.training.video_masks import segment_frame, segment_video

UNFINISHED = "unfinished"
"""Folder of what is being made; nothing in it outlives a run."""


@dataclass(frozen=True)
class Maker:
    """A head with all that it needs, and the folder that its masks go to."""

    config: PredictConfig
    benchmark: Benchmark
    head: Head
    cached: CachedClips
    words: WordEncoder
    out: Path

    def make(self, job: Job) -> list[Prediction]:
        """Does a job: its masks lie in their places when this returns, and not before.

        What lies there already is removed: it is of another content of the video, or not whole. Raises `StoreError`
        where features are missing or damaged, `DataError` where the disk takes no more, and `FeatureError` where
        the device runs out of memory.
        """
        scratch = self.out / UNFINISHED
        places = job.folders(self.out, self.benchmark)
        try:
            for folder in (scratch, *places):
                shutil.rmtree(folder, ignore_errors=True)
            scratch.mkdir()
            return self._video(job, scratch, places) if job.frame is None else [self._frame(job, job.frame)]
        except OSError as error:
            raise DataError(f"cannot write to {self.out}: {error.strerror}; free space and run it again") from error
        except torch.OutOfMemoryError as error:
            raise FeatureError("the device ran out of memory: free some of it, or give --device cpu") from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _frame(self, job: Job, frame: int) -> Prediction:
        """All queries in the one frame that is asked for, in COCO's result format."""
        (expression,), (clip,) = job.expressions, job.clips
        (words,) = self.words([expression.text])
        found = segment_frame(self.head, self.cached, clip, frame, expression.text, words)
        masks, scores = (found.logits > self.config.least_logit).cpu().numpy(), found.scores.tolist()
        id = image_id(self.benchmark, job.video.id, expression.id)
        results = tuple(
            {"image_id": id, "category_id": 1, "score": score, "segmentation": encode_rle(mask)}
            | ({"bbox": box} if self.benchmark == "refcoco" else {})
            for mask, score, box in zip(masks, scores, found.boxes.tolist(), strict=True)
        )
        return Prediction(
            **_names(job, expression),
            queries=tuple(range(len(scores))),
            scores=tuple(scores),
            masks=len(masks),
            empty=sum(not mask.any() for mask in masks),
            results=results,
        )

    def _video(self, job: Job, scratch: Path, places: list[Path]) -> list[Prediction]:
        """A PNG for each expression and frame; of a description also one a frame with all of its objects."""
        names = frame_files(job.video, job.frames)
        folders = [scratch / str(number) for number in range(len(places))]
        for folder in folders:
            folder.mkdir()
        least = self.config.least_logit
        together = None if job.description is None else self._room(job, scratch)
        made = [
            self._expression(job, expression, _Writer(folders[number], names, together, number, least))
            for number, expression in enumerate(job.expressions)
        ]
        if job.description is not None and together is not None:
            for frame, name in enumerate(names):
                write_labels(folders[-1] / name, merge_objects(together[:, frame], job.description.numbers, least))
        for folder, place in zip(folders, places, strict=True):
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(folder, place)
        return made

    def _expression(self, job: Job, expression: Expression, writer: "_Writer") -> Prediction:
        (words,) = self.words([expression.text])
        parts = [job.clips] if self.config.query == "video" else [(clip,) for clip in job.clips]
        choices = [segment_video(self.head, self.cached, part, expression.text, words, writer) for part in parts]
        return Prediction(
            **_names(job, expression),
            queries=tuple(choice.query for choice in choices),
            scores=tuple(chain.from_iterable(choice.scores for choice in choices)),
            masks=len(writer.names),
            empty=len(writer.empty),
        )

    def _room(self, job: Job, scratch: Path) -> Float[np.ndarray, "O F H W"]:
        """For the mask logits of all objects; on disk, since a long video's fit no memory."""
        size = self.cached.sizes(job.clips[0], job.expressions[0].text).source
        shape = (len(job.expressions), job.frames, *size)
        with tempfile.TemporaryFile(dir=scratch) as file:
            reserve(file.fileno(), 4 * math.prod(shape))
            return np.memmap(file, dtype=np.float32, mode="r+", shape=shape)


@dataclass(frozen=True)
class _Writer:
    """Writes the masks of one expression.

    - `together`: where the logits of all objects of the description are gathered, if they are; `number` is this one's.
    - `least_logit`: above it a pixel is the object's. `empty`: frames whose mask is empty.
    """

    folder: Path
    names: list[str]
    together: Float[np.ndarray, "O F H W"] | None
    number: int
    least_logit: float = 0.0
    empty: set[int] = field(default_factory=set)

    def __call__(self, frames: tuple[int, ...], logits: Float[Tensor, "F H W"]) -> None:
        values = logits.cpu().numpy()
        if self.together is not None:
            self.together[self.number, list(frames)] = values
        for frame, mask in zip(frames, values > self.least_logit, strict=True):
            (self.empty.discard if mask.any() else self.empty.add)(frame)  # a frame may come again
            write_mask(self.folder / self.names[frame], mask)


def _names(job: Job, expression: Expression) -> dict[str, Any]:
    return {
        "video": job.video.id,
        "expression": expression.id,
        "text": expression.text,
        "digest": job.clips[0].digest,
    }
