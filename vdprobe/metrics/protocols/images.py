"""How well the masks of a text about one image fit: what a2d, jhmdb and refcoco share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from vdprobe.errors import DataError
from vdprobe.metrics.protocols.boxes import box_overlaps
from vdprobe.metrics.protocols.samples import ImageSample

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
POLICY = {
    "mean": "mean IoU, P@K and mAP over images (one text each); overall IoU is all intersections over all unions",
    "objects": "one truth an image; of the predictions the one with the highest score, of equals the last",
    "void": "none",
    "empty": "IoU is 1 where both masks are empty",
    "missing": "an image without a prediction has IoU 0, its truth counts in the overall IoU",
    "extra": "predictions for images that the truth does not list are counted and named, not scored",
    "P@K": "share of images with an IoU above K; exactly K is not enough",
}


@dataclass(frozen=True)
class ImageScore:
    """Of each prediction the pixels that it shares with the truth and that either has, and, of boxes, IoU and GIoU."""

    image: str | int
    truth_area: int
    scores: Float64[np.ndarray, " Q"]
    intersections: Int64[np.ndarray, " Q"]
    unions: Int64[np.ndarray, " Q"]
    boxes: tuple[Float64[np.ndarray, " Q"], Float64[np.ndarray, " Q"]] | None

    columns = ("image", "IoU", "intersection", "union", "score", "box IoU", "box GIoU", "predictions")

    @property
    def best(self) -> int | None:
        """The prediction that counts: of the highest score the last, None where there is none."""
        return int(np.flatnonzero(self.scores == self.scores.max())[-1]) if len(self.scores) else None

    @property
    def meeting(self) -> tuple[int, int]:
        """Intersection and union of the truth with the prediction that counts."""
        if self.best is None:
            return 0, self.truth_area
        return int(self.intersections[self.best]), int(self.unions[self.best])

    @property
    def iou(self) -> float:
        """Of the prediction that counts."""
        shared, union = self.meeting
        return shared / union if union else float(self.best is not None)

    @property
    def box_overlap(self) -> tuple[float, float] | None:
        """IoU and generalised IoU of the box of the prediction that counts."""
        if self.boxes is None or self.best is None:
            return None
        iou, generalised = (float(overlaps[self.best]) for overlaps in self.boxes)
        return iou, generalised

    def rows(self) -> Iterator[tuple[object, ...]]:
        """The one row of `columns`."""
        score = None if self.best is None else float(self.scores[self.best])
        yield self.image, self.iou, *self.meeting, score, *(self.box_overlap or (None, None)), len(self.scores)

    def absent(self) -> Iterator[str]:
        """The image, where nothing was predicted for it."""
        if self.best is None:
            yield str(self.image)

    @staticmethod
    def count(images: "Sequence[ImageScore]") -> dict[str, int]:
        """How much was scored."""
        return {"images": len(images), "predictions": sum(len(image.scores) for image in images)}


def score(sample: ImageSample) -> tuple[ImageScore]:
    """Overlaps of every prediction with the truth.

    Raises `DataError` when masks differ in size, or their number is not that of scores or boxes, or a
    score is not finite.
    """
    if sample.masks.shape[1:] != sample.truth.shape:
        sizes = [f"{shape[1]}x{shape[0]}" for shape in (sample.masks.shape[1:], sample.truth.shape)]
        raise DataError(
            f"image '{sample.image}': masks are {sizes[0]} pixels and the truth {sizes[1]}; make them equal"
        )
    if not np.isfinite(sample.scores).all():
        raise DataError(f"image '{sample.image}': a score is not finite; give every prediction a number")
    boxes = None
    if sample.boxes is not None and sample.truth_box is not None:
        boxes = box_overlaps(sample.boxes, sample.truth_box)
    return (
        ImageScore(
            sample.image,
            int(np.count_nonzero(sample.truth)),
            sample.scores,
            (sample.masks & sample.truth).sum(axis=(1, 2)),
            (sample.masks | sample.truth).sum(axis=(1, 2)),
            boxes,
        ),
    )


def overlap_scores(images: Sequence[ImageScore]) -> dict[str, float]:
    """Overall and mean IoU, and P@K."""
    ious = np.array([image.iou for image in images])
    shared, union = np.sum([image.meeting for image in images], axis=0)
    scores = {"overall IoU": float(shared / union) if union else 1.0, "mean IoU": float(ious.mean())}
    return scores | {f"P@{threshold}": float((ious > threshold).mean()) for threshold in THRESHOLDS}
