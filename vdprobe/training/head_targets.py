"""What a head should have said of a clip (official datasets/ytvos.py and transforms_video.py).

Shape letters: F frames, H W height and width of the video, Hp Wp of the padded frames.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vdprobe.data.masks import prepare_labels
from vdprobe.specs.video import Resize


@dataclass(frozen=True)
class ClipTarget:
    """One clip's part of a `Target`."""

    boxes: Float[Tensor, "F 4"]
    masks: Bool[Tensor, "F Hp Wp"]
    visible: Bool[Tensor, " F"]

    def backwards(self) -> "ClipTarget":
        """Of the same frames, the last one first."""
        return ClipTarget(self.boxes.flip(0), self.masks.flip(0), self.visible.flip(0))


def clip_target(mask: Bool[np.ndarray, "F H W"], resize: Resize) -> ClipTarget:
    """The target of frames as `resize` prepares them, from the object's masks at the size of the video."""
    masks = torch.from_numpy(prepare_labels(mask.astype(np.uint8), resize) > 0)
    seen = mask[:, :, ::-1] if resize.flip else mask
    boxes = torch.from_numpy(np.stack([_box(frame) for frame in seen]))
    return ClipTarget(boxes, masks, torch.from_numpy(mask.any(axis=(1, 2))))


def _box(mask: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, " 4"]:
    """(x, y, width, height) of centre and extent as shares of the picture; zeros where the object is absent.

    As in the official code it ends in its last pixels, and not behind them.
    """
    if not mask.any():
        return np.zeros(4, dtype=np.float32)
    (top, bottom), (left, right) = (np.flatnonzero(mask.any(axis=axis))[[0, -1]] for axis in (1, 0))
    height, width = mask.shape
    box = ((left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height)
    return np.array(box, dtype=np.float32)
