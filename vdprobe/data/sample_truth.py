"""The truth about single frames as the datasets publish it: A2D-Sentences, JHMDB-Sentences and RefCOCO."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from vdprobe.data.layouts import Layout
from vdprobe.data.masks import read_object_mask
from vdprobe.data.refcoco import REFS, CocoMask, CocoMasks
from vdprobe.data.sources import find_videos
from vdprobe.data.video import Expression, Failure, Video, failure_of
from vdprobe.errors import DataError


@dataclass(frozen=True)
class SampleTruth:
    """What an expression means in its frame; `image` is the benchmark's id of the two.

    Small where `video` has no other expressions and, of RefCOCO, no other masks.
    """

    image: str
    video: Video
    expression: Expression

    def mask(self) -> Bool[np.ndarray, "H W"]:
        """Where it is; raises `DataError` as `read_object_mask` does."""
        frame = self.expression.frame or 0  # of a picture none is told
        return read_object_mask(self.video, self.expression.object_ids or (), (frame,))[0]

    @property
    def box(self) -> tuple[float, ...] | None:
        """x, y, width, height in pixels, where boxes are scored: of RefCOCO."""
        masks = self.video.annotations
        return masks.box if isinstance(masks, CocoMask) else None


def image_id(layout: str, video: str, expression: str) -> str:
    """How a benchmark names a text about a frame: by MTTR's ids, of RefCOCO by the `sent_id`, which is unique."""
    return expression if layout in REFS else f"v_{video}_{expression}"


def find_sample_truths(path: Path, split: str, layout: Layout) -> tuple[tuple[SampleTruth, ...], tuple[Failure, ...]]:
    """One truth a sample of a split, and what has none. Raises as `find_videos` does."""
    found = find_videos(path, layout=layout, split=split)
    truths, failures = [], list(found.failures)
    for video in found.videos:
        if video.annotations is None:
            failures.append(Failure(video.id, "its masks are not there; unpack those of the dataset", "masks missing"))
            continue
        for expression in video.expressions:
            try:
                alone = _alone(video, expression)
            except DataError as error:
                failures.append(failure_of(f"{video.id}/{expression.id}", error))
                continue
            truths.append(SampleTruth(image_id(layout, video.id, expression.id), alone, expression))
    return tuple(truths), tuple(failures)


def _alone(video: Video, expression: Expression) -> Video:
    masks = video.annotations
    if isinstance(masks, CocoMasks) and expression.object_id is not None:
        masks = masks.one(expression.object_id)
    return replace(video, expressions=(), annotations=masks)
