"""What the DAVIS protocols share: objects out of labels (Perazzi et al. 2016, Pont-Tuset et al. 2017)."""

import numpy as np

from vdprobe.metrics.protocols.samples import LabelSample, MaskSample, TruthError

VOID = 255


def count_objects(sample: LabelSample) -> int:
    """How many objects are scored: those up to the largest number in the first mask, void left out.

    Raises `TruthError` when there is none.
    """
    first = sample.truth[:1]
    count = int(first[first != VOID].max(initial=0))
    if not count:
        raise TruthError(
            f"{sample.video}: the first mask shows no object (255 is void), and DAVIS takes its objects from there; "
            "number the objects from 1"
        )
    return count


def count_predicted(sample: LabelSample) -> int:
    """The largest number in the masks that were predicted."""
    there = [frame not in sample.missing for frame in sample.frames]
    return int(sample.prediction[there].max(initial=0))


def pick_object(sample: LabelSample, number: int, predicted: int) -> MaskSample:
    """Object `number` of the truth, with what the prediction numbers `predicted`."""
    truth, prediction = sample.truth == number, sample.prediction == predicted
    return MaskSample(
        sample.video, sample.part, str(number), sample.frames, np.asarray(truth), np.asarray(prediction), sample.missing
    )
