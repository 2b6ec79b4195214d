"""J and F of one object over a video, and their means over many: what the video protocols share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from vdprobe.errors import DataError
from vdprobe.metrics.contour import contour_accuracy
from vdprobe.metrics.protocols.samples import MaskSample
from vdprobe.metrics.region import region_similarity
from vdprobe.metrics.summary import summarise

EMPTY = (
    "J and F of a frame are 1 where both masks are empty and 0 where one is, but F is 1 where the other fills the "
    "frame: neither has a boundary"
)
MISSING = "a frame without a prediction scores 0 in J and F, also where its truth is empty"
ONE_OBJECT = "in a video whose masks hold 0 and 255 alone (DAVIS 2016) 255 is object 1"
EXTRA = "predictions of what the dataset does not list are counted and named, not scored"


@dataclass(frozen=True)
class Track:
    """J and F of one object, frame by frame, and the areas of both masks in pixels, void left out."""

    video: str
    expression: str
    object: str
    frames: tuple[str, ...]
    j: Float64[np.ndarray, " T"]
    f: Float64[np.ndarray, " T"]
    truth_area: Int64[np.ndarray, " T"]
    area: Int64[np.ndarray, " T"]
    missing: Bool[np.ndarray, " T"]

    columns = ("video", "expression", "object", "frame", "J", "F", "truth_area", "area", "missing")

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """One row of `columns` for each frame."""
        values = (self.j, self.f, self.truth_area, self.area, self.missing.astype(int))
        for frame, *row in zip(self.frames, *(value.tolist() for value in values), strict=True):
            yield self.video, self.expression, self.object, frame, *row

    def absent(self) -> Iterator[str]:
        """What has no prediction: `video/expression` where nothing of it is there, else each frame."""
        name = f"{self.video}/{self.expression}".rstrip("/")
        if self.missing.all():
            yield name
        else:
            yield from (f"{name}/{frame}" for frame, gone in zip(self.frames, self.missing, strict=True) if gone)

    @staticmethod
    def count(tracks: "Sequence[Track]") -> dict[str, int]:
        """How much was scored."""
        return {
            "videos": len({track.video for track in tracks}),
            "expressions": len({(track.video, track.expression) for track in tracks if track.expression}),
            "tracks": len(tracks),
            "frames": sum(len(track.frames) for track in tracks),
        }


def score_track(sample: MaskSample, void: Bool[np.ndarray, "T H W"] | None = None) -> Track:
    """J and F of every frame of a sample; `void` pixels count for neither mask.

    Raises `DataError` when the two masks differ in size, or there are no frames.
    """
    truth, prediction = sample.truth, sample.prediction
    where = f"{sample.video}/{sample.expression}".rstrip("/")
    if truth.shape != prediction.shape:
        raise DataError(f"{where}: the prediction has shape {prediction.shape} and the truth {truth.shape}; make it so")
    if not len(truth):
        raise DataError(f"{where}: there are no frames to score; a video needs at least one")
    if void is not None:
        truth, prediction = truth & ~void, prediction & ~void
    missing = np.array([frame in sample.missing for frame in sample.frames])
    return Track(
        sample.video,
        sample.expression,
        sample.object,
        sample.frames,
        j=np.where(missing, 0.0, region_similarity(prediction, truth)),
        f=np.where(missing, 0.0, contour_accuracy(prediction, truth)),
        truth_area=truth.sum(axis=(1, 2)),
        area=np.where(missing, 0, prediction.sum(axis=(1, 2))),
        missing=missing,
    )


def score_expression(sample: MaskSample) -> tuple[Track, ...]:
    """An expression by itself: a binary mask, all frames, no void."""
    return (score_track(sample),)


def mean_scores(tracks: Sequence[Track]) -> dict[str, float]:
    """J, F and their mean: over the frames of each track, then over tracks, whatever video they are of."""
    j = float(np.mean([track.j.mean() for track in tracks]))
    f = float(np.mean([track.f.mean() for track in tracks]))
    return {"J&F": (j + f) / 2, "J": j, "F": f}


def davis_scores(tracks: Sequence[Track]) -> dict[str, float]:
    """As `mean_scores`, with recall and decay as `summarise` has them."""
    scores = mean_scores(tracks)
    for letter, summaries in (
        ("J", [summarise(track.j) for track in tracks]),
        ("F", [summarise(track.f) for track in tracks]),
    ):
        scores[f"{letter} recall"] = float(np.mean([summary.recall for summary in summaries]))
        scores[f"{letter} decay"] = float(np.mean([summary.decay for summary in summaries]))
    return scores
