"""What a head is trained with (official criterion.py, segmentation.py; weights from opts.py).

Shape letters: B clips, F frames, Q queries, H W height and width of the padded frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from vdprobe.head.boxes import generalized_iou
from vdprobe.head.outputs import LayerOutput, Target

SCORE_WEIGHT, L1_WEIGHT, GIOU_WEIGHT, FOCAL_WEIGHT, DICE_WEIGHT = 2.0, 5.0, 2.0, 2.0, 5.0
ALPHA, GAMMA = 0.25, 2.0
"""Of the focal loss (Lin et al. 2017): the weight of the object's cells, and how little easy cells count."""


@dataclass(frozen=True)
class LayerLoss:
    """The losses of one decoder layer, unweighted; each is a sum over clips per visible frame.

    - `score`: focal loss of all queries. `l1`, `giou`: of the matched query's boxes.
    - `focal`, `dice`: of its mask; `coarse_*`: of its mask before the refiner.
    """

    score: Float[Tensor, ""]
    l1: Float[Tensor, ""]
    giou: Float[Tensor, ""]
    focal: Float[Tensor, ""]
    dice: Float[Tensor, ""]
    coarse_focal: Float[Tensor, ""]
    coarse_dice: Float[Tensor, ""]

    @property
    def total(self) -> Float[Tensor, ""]:
        """Weighted."""
        return sum((WEIGHTS[f.name] * getattr(self, f.name) for f in fields(self)), start=torch.zeros(()))


WEIGHTS = {
    "score": SCORE_WEIGHT,
    "l1": L1_WEIGHT,
    "giou": GIOU_WEIGHT,
    "focal": FOCAL_WEIGHT,
    "dice": DICE_WEIGHT,
    "coarse_focal": FOCAL_WEIGHT,
    "coarse_dice": DICE_WEIGHT,
}


def head_losses(
    outputs: Sequence[LayerOutput], target: Target, frames: Int[Tensor, ""] | None = None
) -> list[LayerLoss]:
    """The losses of every decoder layer; what is minimised is the sum of their totals.

    As in the official code, every term is divided by the number of frames that show the object (at
    least 1), the mask losses too, though they are taken over whole clips; and a frame without the
    object has a box of zeros that counts like any other.

    - `frames`: that number, where the clips are a part of a batch only; None to count it in the target.
    """
    frames = (target.visible.sum() if frames is None else frames).clamp(min=1)
    return [_layer_loss(output, target, frames) for output in outputs]


def _layer_loss(output: LayerOutput, target: Target, frames: Tensor) -> LayerLoss:
    chosen = functional.one_hot(output.query, output.logits.shape[-1]) > 0  # B Q
    truth = (target.visible[:, :, None] & chosen[:, None]).float().flatten(1)
    score = focal_loss(output.logits.float().flatten(1), truth) * truth.shape[1]  # a sum, not a mean
    boxes = output.boxes.transpose(1, 2)[chosen]  # B F 4
    terms = {
        "score": score,
        "l1": (boxes - target.boxes).abs().sum((1, 2)),
        "giou": (1 - generalized_iou(boxes, target.boxes)).sum(1),
    }
    for name, logits, masks in (
        ("", output.masks, target.masks),
        ("coarse_", output.coarse_masks, coarse(target.masks)),
    ):
        pixels, object_pixels = logits.float().flatten(1), masks.float().flatten(1)
        terms[f"{name}focal"] = focal_loss(pixels, object_pixels)
        terms[f"{name}dice"] = dice_loss(pixels, object_pixels)
    return LayerLoss(**{name: term.sum() / frames for name, term in terms.items()})


def coarse(masks: Tensor) -> Tensor:
    """Masks at stride 2: the last pixel of each square, as the official code takes them."""
    return masks[..., 1::2, 1::2]


def focal_loss(logits: Float[Tensor, "*b cells"], truth: Float[Tensor, "*b cells"]) -> Float[Tensor, "*b"]:
    """Mean over the cells of -alpha_t (1 - p_t)^gamma log p_t (Lin et al. 2017)."""
    error = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    wrong = (torch.sigmoid(logits) - truth).abs()
    weight = ALPHA * truth + (1 - ALPHA) * (1 - truth)
    return (weight * wrong**GAMMA * error).mean(-1)


def dice_loss(logits: Float[Tensor, "*b cells"], truth: Float[Tensor, "*b cells"]) -> Float[Tensor, "*b"]:
    """1 - (2 sum(p t) + 1) / (sum(p) + sum(t) + 1) (Milletari et al. 2016), as ReferFormer smooths it."""
    share = torch.sigmoid(logits)
    return 1 - (2 * (share * truth).sum(-1) + 1) / (share.sum(-1) + truth.sum(-1) + 1)
