"""Region similarity J: the overlap of two masks."""

import numpy as np
from jaxtyping import Bool, Float64


def region_similarity(
    prediction: Bool[np.ndarray, "T H W"],
    truth: Bool[np.ndarray, "T H W"],
    void: Bool[np.ndarray, "T H W"] | None = None,
) -> Float64[np.ndarray, " T"]:
    """Intersection over union of each frame, in [0, 1]; 1 where both masks are empty.

    `void` pixels count for neither mask. Values are those of davis2017-evaluation (Perazzi et al. 2016).
    """
    if void is not None:
        prediction, truth = prediction & ~void, truth & ~void
    return np.array([_overlap(*pair) for pair in zip(prediction, truth, strict=True)], dtype=np.float64)


def _overlap(prediction: np.ndarray, truth: np.ndarray) -> float:
    union = np.count_nonzero(prediction | truth)
    return np.count_nonzero(prediction & truth) / union if union else 1.0
