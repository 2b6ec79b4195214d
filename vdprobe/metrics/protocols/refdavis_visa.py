"""`refdavis-visa`: Ref-DAVIS17 as VISA, GLUS and Sa2VA score it: every expression by itself.

Not comparable with `refdavis-referformer`.
"""

from vdprobe.metrics.protocols.protocol import Protocol
from vdprobe.metrics.protocols.samples import MaskSample
from vdprobe.metrics.protocols.tracks import EMPTY, EXTRA, MISSING, ONE_OBJECT, mean_scores, score_expression

PROTOCOL = Protocol(
    "refdavis-visa",
    MaskSample,
    score_expression,
    mean_scores,
    {
        "frames": "all",
        "mean": "over the frames of an expression, then over the expressions of all videos together",
        "objects": "an expression's mask is compared with its object's, nothing is matched; not 0 is foreground",
        "void": f"none: 255 in the truth is background; {ONE_OBJECT}",
        "empty": EMPTY,
        "missing": MISSING,
        "extra": EXTRA,
    },
)
