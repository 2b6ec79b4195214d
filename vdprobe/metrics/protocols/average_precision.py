"""COCO's average precision, for images that have one truth each.

Written here and not taken from pycocotools or hotcoco: with one truth an image nothing is left of COCO's
matching but "the first prediction that is good enough", and what remains fits on a page, needs no compiled
extension, and takes text ids.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64

from vdprobe.metrics.protocols.images import ImageScore

IOUS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
MOST = 100
"""Predictions of an image that are looked at, the surest ones."""


def average_precision(images: Sequence[ImageScore]) -> float:
    """Mean over the IoU thresholds .5, .55, ... .95 of the precision at 101 recalls, categories not looked at.

    Values are those of COCOeval (`segm`, `useCats=0`, `stats[0]`): of equal scores the prediction that
    comes first counts as surer, images in the order of their ids; two empty masks do not match.
    """
    ranked = [_rank(image) for image in sorted(images, key=lambda image: image.image)]
    order = np.argsort(-np.concatenate([scores for scores, _ in ranked]), kind="stable")
    hits = np.concatenate([hits for _, hits in ranked], axis=1)[:, order]
    if not hits.size:
        return 0.0
    found = np.cumsum(hits, axis=1)
    # COCO's denominator, so that thresholds of precision fall as they do there
    precision = found / (np.arange(1, len(order) + 1) + np.spacing(1))
    return float(np.mean([_at_recalls(*pair) for pair in zip(found / len(images), precision, strict=True)]))


def _rank(image: ImageScore) -> tuple[Float64[np.ndarray, " Q"], Bool[np.ndarray, "10 Q"]]:
    """Scores from the surest down, and which prediction finds the truth at each threshold: the first that can."""
    order = np.argsort(-image.scores, kind="stable")[:MOST]
    iou = image.intersections[order] / np.maximum(image.unions[order], 1)
    good = iou >= np.minimum(IOUS, 1 - 1e-10)[:, None]
    return image.scores[order], good & (np.cumsum(good, axis=1) == 1)


def _at_recalls(recall: np.ndarray, precision: np.ndarray) -> float:
    """The mean of the best precision at or beyond each recall, 0 beyond the last."""
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.append(best, 0)[np.searchsorted(recall, RECALLS, side="left")].mean())
