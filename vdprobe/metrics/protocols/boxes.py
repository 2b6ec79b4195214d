"""How well two boxes overlap."""

import numpy as np
from jaxtyping import Float64


def box_overlaps(
    boxes: Float64[np.ndarray, "Q 4"], truth: Float64[np.ndarray, "4"]
) -> tuple[Float64[np.ndarray, " Q"], Float64[np.ndarray, " Q"]]:
    """IoU, in [0, 1], and generalised IoU, in [-1, 1], of each box with `truth`; 0 and -1 without area.

    Boxes are x, y, width, height. The generalised one takes off the share of the smallest box around
    both that neither covers (Rezatofighi et al. 2019), so it is never the larger of the two.
    """
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    truth_low, truth_high = truth[:2], truth[:2] + truth[2:]
    shared = np.clip(np.minimum(high, truth_high) - np.maximum(low, truth_low), 0, None).prod(axis=1)
    union = boxes[:, 2:].prod(axis=1) + truth[2:].prod() - shared
    hull = (np.maximum(high, truth_high) - np.minimum(low, truth_low)).prod(axis=1)
    iou = np.divide(shared, union, out=np.zeros_like(union), where=union > 0)
    gap = np.divide(hull - union, hull, out=np.ones_like(hull), where=hull > 0)
    return iou, iou - gap
