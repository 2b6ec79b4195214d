"""`ytvos`: Ref-YouTube-VOS, every expression by itself."""

from vdprobe.metrics.protocols.protocol import Protocol
from vdprobe.metrics.protocols.refdavis_visa import PROTOCOL as VISA
from vdprobe.metrics.protocols.samples import MaskSample
from vdprobe.metrics.protocols.tracks import mean_scores, score_expression

PROTOCOL = Protocol(
    "ytvos",
    MaskSample,
    score_expression,
    mean_scores,
    {**VISA.policy, "frames": "all that the dataset lists"},
)
