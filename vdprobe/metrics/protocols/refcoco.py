"""`refcoco`: RefCOCO, RefCOCO+ and RefCOCOg, one text about one image; masks, and boxes where there are any."""

from collections.abc import Sequence

import numpy as np

from vdprobe.errors import DataError
from vdprobe.metrics.protocols.images import POLICY, ImageScore, overlap_scores, score
from vdprobe.metrics.protocols.protocol import Protocol
from vdprobe.metrics.protocols.samples import ImageSample


def sum_up(images: Sequence[ImageScore]) -> dict[str, float]:
    """Overlaps of masks, and REC if predictions have boxes. Raises `DataError` when only some have."""
    scores = overlap_scores(images)
    predicted = [image for image in images if image.best is not None]
    boxed = [pair for image in predicted if (pair := image.box_overlap) is not None]
    if not boxed:
        return scores
    if len(boxed) < len(predicted):
        raise DataError(
            f"{len(predicted) - len(boxed)} of {len(predicted)} images have predictions without a box; "
            "give all of them one, or none"
        )
    iou, generalised = np.sum(np.array(boxed) >= 0.5, axis=0) / len(images)
    return scores | {"REC IoU": float(iou), "REC GIoU": float(generalised)}


PROTOCOL = Protocol(
    "refcoco",
    ImageSample,
    score,
    sum_up,
    {
        **POLICY,
        "REC": (
            "share of images whose box overlaps the truth by at least 0.5: in IoU, as is usual, and in generalised "
            "IoU, as ReferFormer counts, which is stricter; boxes as predicted, none are made from masks"
        ),
    },
)
