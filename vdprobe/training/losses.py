"""Mask losses, weighted as in ReferFormer and VD-IT: focal 2, dice 5.

Both are taken over a whole clip: an object that leaves the frame is no reason for a frame of its own.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from vdprobe.head.losses import DICE_WEIGHT, FOCAL_WEIGHT, dice_loss, focal_loss


@dataclass(frozen=True)
class MaskLoss:
    """The two losses of one clip, unweighted."""

    focal: Float[Tensor, ""]
    dice: Float[Tensor, ""]

    @property
    def total(self) -> Float[Tensor, ""]:
        """What is minimised."""
        return FOCAL_WEIGHT * self.focal + DICE_WEIGHT * self.dice


def mask_loss(logits: Float[Tensor, "F H W"], target: Bool[Tensor, "F H W"], valid: Bool[Tensor, "H W"]) -> MaskLoss:
    """Focal and dice loss over the cells that are `valid`; what the model says of padding does not count."""
    chosen, truth = logits[:, valid].flatten(), target[:, valid].flatten().to(logits.dtype)
    return MaskLoss(focal_loss(chosen, truth), dice_loss(chosen, truth))
