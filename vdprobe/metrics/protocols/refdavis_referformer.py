"""`refdavis-referformer`: Ref-DAVIS17 as ReferFormer, SgMg and VD-IT score it: `davis-unsup`, four times.

Each of the four annotators gives every object one expression; all masks of one annotator make one
indexed PNG a frame, which is the sample with `part` `anno_0` to `anno_3`. Not comparable with
`refdavis-visa`: here two objects that were mistaken for each other are forgiven.
"""

from collections.abc import Sequence

import numpy as np

from vdprobe.errors import DataError
from vdprobe.metrics.protocols.davis_unsup import POLICY, score
from vdprobe.metrics.protocols.protocol import Protocol
from vdprobe.metrics.protocols.samples import LabelSample
from vdprobe.metrics.protocols.tracks import Track, davis_scores

ANNOTATORS = tuple(f"anno_{k}" for k in range(4))


def sum_up(tracks: Sequence[Track]) -> dict[str, float]:
    """The mean of the annotators' scores, then J&F of each. Raises `DataError` unless all four are there."""
    by_annotator = {name: [track for track in tracks if track.expression == name] for name in ANNOTATORS}
    if not all(by_annotator.values()) or sum(map(len, by_annotator.values())) < len(tracks):
        found = sorted({track.expression for track in tracks})
        raise DataError(f"the parts are {found}, and 'refdavis-referformer' is the mean of {', '.join(ANNOTATORS)}")
    each = {name: davis_scores(own) for name, own in by_annotator.items()}
    means = {key: float(np.mean([scores[key] for scores in each.values()])) for key in each["anno_0"]}
    return means | {f"{name} J&F": scores["J&F"] for name, scores in each.items()}


PROTOCOL = Protocol(
    "refdavis-referformer",
    LabelSample,
    score,
    sum_up,
    {**POLICY, "mean": f"{POLICY['mean']}, for each of the four annotators; then over the annotators"},
)
