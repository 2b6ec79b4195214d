"""Boxes as (x, y, width, height) of centre and extent, and how far two are apart (official util/box_ops.py)."""

import torch
from jaxtyping import Float
from torch import Tensor

EPSILON = 1e-6
"""Keeps two empty boxes apart from a division by zero."""


def generalized_iou(a: Float[Tensor, "*#n 4"], b: Float[Tensor, "*#n 4"]) -> Float[Tensor, "..."]:
    """Generalised intersection over union (Rezatofighi et al. 2019), from -1 to 1."""
    (low_a, high_a), (low_b, high_b) = _corners(a), _corners(b)
    shared = _area((torch.minimum(high_a, high_b) - torch.maximum(low_a, low_b)).clamp(min=0))
    union = _area(high_a - low_a) + _area(high_b - low_b) - shared
    hull = _area(torch.maximum(high_a, high_b) - torch.minimum(low_a, low_b))
    return (shared + EPSILON) / (union + EPSILON) - (hull - union + EPSILON) / (hull + EPSILON)


def _corners(boxes: Tensor) -> tuple[Tensor, Tensor]:
    centre, extent = boxes.split(2, dim=-1)
    return centre - extent / 2, centre + extent / 2


def _area(extent: Tensor) -> Tensor:
    return extent[..., 0] * extent[..., 1]
