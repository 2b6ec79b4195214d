"""`a2d`: A2D-Sentences, one text about one frame, every query's mask with its score (MTTR, ReferFormer)."""

from collections.abc import Sequence

from vdprobe.metrics.protocols.average_precision import average_precision
from vdprobe.metrics.protocols.images import POLICY, ImageScore, overlap_scores, score
from vdprobe.metrics.protocols.protocol import Protocol
from vdprobe.metrics.protocols.samples import ImageSample


def sum_up(images: Sequence[ImageScore]) -> dict[str, float]:
    """mAP, which looks at every prediction, and overlaps, which look at the surest of each image."""
    return {"mAP": average_precision(images), **overlap_scores(images)}


PROTOCOL = Protocol(
    "a2d",
    ImageSample,
    score,
    sum_up,
    {
        **POLICY,
        "mAP": "COCO, IoU .5 to .95 in steps of .05, all predictions with their scores; two empty masks do not match",
    },
)
