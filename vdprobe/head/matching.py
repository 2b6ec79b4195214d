"""Which query is meant to find the object: the one that is nearest to it already (official matcher.py).

A clip has one target, so nothing is assigned: the cheapest query wins.
Shape letters: B clips, F frames, Q queries.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vdprobe.head.boxes import generalized_iou
from vdprobe.head.losses import (
    ALPHA,
    DICE_WEIGHT,
    FOCAL_WEIGHT,
    GAMMA,
    GIOU_WEIGHT,
    L1_WEIGHT,
    SCORE_WEIGHT,
    coarse,
    dice_loss,
    focal_loss,
)
from vdprobe.head.outputs import Target


@torch.no_grad()
def match(
    logits: Float[Tensor, "B F Q"],
    boxes: Float[Tensor, "B F Q 4"],
    masks: Float[Tensor, "B F Q _ _"],
    target: Target,
) -> Int[Tensor, " B"]:
    """The cheapest query of each clip, over all of its frames.

    - `masks`: logits at stride 2, before the refiner.
    """
    return matching_costs(logits, boxes, masks, target).argmin(1)


def matching_costs(
    logits: Float[Tensor, "B F Q"],
    boxes: Float[Tensor, "B F Q 4"],
    masks: Float[Tensor, "B F Q _ _"],
    target: Target,
) -> Float[Tensor, "B Q"]:
    """What each query costs. The score counts in frames that show the object, all else in every frame.

    A clip that never shows it has no cost of the score.
    """
    visible = target.visible[:, :, None].float()
    score = (_score_cost(logits.float()) * visible).sum(1) / visible.sum(1).clamp(min=1)
    there = target.boxes[:, :, None]
    l1 = (boxes - there).abs().sum(-1).mean(1)
    giou = generalized_iou(boxes, there).mean(1)
    pixels = masks.transpose(1, 2).flatten(2).float()  # B Q cells
    object_pixels = coarse(target.masks).flatten(1)[:, None].to(pixels).expand_as(pixels)
    focal, dice = focal_loss(pixels, object_pixels), dice_loss(pixels, object_pixels)
    return SCORE_WEIGHT * score + L1_WEIGHT * l1 - GIOU_WEIGHT * giou + FOCAL_WEIGHT * focal + DICE_WEIGHT * dice


def _score_cost(logits: Tensor) -> Tensor:
    """The focal loss of saying yes less that of saying no."""
    share = torch.sigmoid(logits)
    yes = ALPHA * (1 - share) ** GAMMA * (share + 1e-8).log()
    no = (1 - ALPHA) * share**GAMMA * (1 - share + 1e-8).log()
    return no - yes
