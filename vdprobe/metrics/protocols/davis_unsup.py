"""`davis-unsup`: proposals find their objects by assignment (davis2017-evaluation, unsupervised)."""

import numpy as np
from scipy.optimize import linear_sum_assignment

from vdprobe.errors import DataError
from vdprobe.metrics.protocols.davis import VOID, count_objects, count_predicted, pick_object
from vdprobe.metrics.protocols.protocol import Protocol
from vdprobe.metrics.protocols.samples import LabelSample
from vdprobe.metrics.protocols.tracks import EMPTY, EXTRA, MISSING, ONE_OBJECT, Track, davis_scores, score_track

PROPOSALS = 20
"""The most that a video may have."""

POLICY = {
    "frames": "all",
    "mean": "over the frames of an object, then over the objects of all videos together",
    "objects": "those of the first mask; each gets one proposal, so that the sum of mean (J + F) / 2 is largest",
    "void": f"255 in the truth counts for neither mask; {ONE_OBJECT}",
    "empty": EMPTY,
    "missing": f"{MISSING}; an object for which no proposal is left gets an empty one",
    "extra": f"proposals that match no object cost nothing, more than {PROPOSALS} are an error; {EXTRA}",
}


def score(sample: LabelSample) -> tuple[Track, ...]:
    """A track for each object, with the proposal that it is assigned.

    Raises `TruthError` where the first mask shows no object, `DataError` for a prediction of more than 20 proposals.
    """
    objects, proposals = count_objects(sample), count_predicted(sample)
    if proposals > PROPOSALS:
        raise DataError(
            f"{sample.video}: the prediction numbers an object {proposals}, and {PROPOSALS} is the most; "
            "number the proposals from 1 and leave the least sure out"
        )
    void = np.asarray(sample.truth == VOID)
    tracks = [
        [score_track(pick_object(sample, k, p), void) for p in range(1, max(objects, proposals) + 1)]
        for k in range(1, objects + 1)
    ]
    quality = [[(track.j.mean() + track.f.mean()) / 2 for track in row] for row in tracks]
    chosen = zip(*linear_sum_assignment(quality, maximize=True), strict=True)
    return tuple(tracks[k][p] for k, p in chosen)


PROTOCOL = Protocol("davis-unsup", LabelSample, score, davis_scores, POLICY)
