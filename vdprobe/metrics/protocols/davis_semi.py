"""`davis-semi`: the first mask is given, objects keep their numbers (davis2017-evaluation, semi-supervised)."""

from dataclasses import replace

from vdprobe.errors import DataError
from vdprobe.metrics.protocols.davis import count_objects, count_predicted, pick_object
from vdprobe.metrics.protocols.protocol import Protocol
from vdprobe.metrics.protocols.samples import LabelSample, TruthError
from vdprobe.metrics.protocols.tracks import EMPTY, EXTRA, MISSING, ONE_OBJECT, Track, davis_scores, score_track


def score(sample: LabelSample) -> tuple[Track, ...]:
    """A track for each object.

    Raises `TruthError` for a video of fewer than three frames, and `DataError` for a prediction of more objects than
    there are.
    """
    if len(sample.frames) < 3:
        raise TruthError(
            f"{sample.video} has {len(sample.frames)} frames, and 'davis-semi' leaves out the first and the last; "
            "it needs at least 3"
        )
    objects = count_objects(sample)
    inner = replace(sample, frames=sample.frames[1:-1], truth=sample.truth[1:-1], prediction=sample.prediction[1:-1])
    if count_predicted(inner) > objects:
        raise DataError(
            f"{sample.video}: the prediction numbers an object {count_predicted(inner)} and there are {objects}; "
            "'davis-semi' refuses that: keep the numbers of the first mask"
        )
    return tuple(score_track(pick_object(inner, k, k)) for k in range(1, objects + 1))


PROTOCOL = Protocol(
    "davis-semi",
    LabelSample,
    score,
    davis_scores,
    {
        "frames": "all but the first and the last",
        "mean": "over the frames of an object, then over the objects of all videos together",
        "objects": "those of the first mask, matched by number; one that is never predicted is empty",
        "void": f"none: 255 in the truth is background; {ONE_OBJECT}",
        "empty": EMPTY,
        "missing": MISSING,
        "extra": f"an object number that the first mask has not is an error; {EXTRA}",
    },
)
