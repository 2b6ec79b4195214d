"""Mean, recall and decay of a score over a video's frames, as DAVIS sums them up."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from vdprobe.errors import DataError


@dataclass(frozen=True)
class Summary:
    """Of one object in one video.

    - `recall`: share of frames that score above 0.5.
    - `decay`: mean of the first quarter of the frames minus mean of the last.
    """

    mean: float
    recall: float
    decay: float


def summarise(scores: Float64[np.ndarray, " T"]) -> Summary:
    """J or F of each frame, summed up (Perazzi et al. 2016).

    Which frames count is the caller's: DAVIS leaves out the first and the last where the first mask is
    given. Values are those of davis2017-evaluation, but for the decay of more than 256 frames: there it
    keeps frame numbers in 8 bits, which wrap around, so its last quarter is another part of the video or
    none; here it is the last. Raises `DataError` when there are no frames.
    """
    if not scores.size:
        raise DataError("there are no frames to sum up; score at least one frame of each video")
    # quarters share their edge frames
    edges = np.round(np.linspace(1, len(scores), 5) + 1e-10).astype(int) - 1
    decay = scores[: edges[1] + 1].mean() - scores[edges[3] :].mean()
    return Summary(float(scores.mean()), float((scores > 0.5).mean()), float(decay))
