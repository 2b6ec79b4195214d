"""Masks from queries: each query writes a small network that runs over its frame (Tian et al. 2020).

Official diffvos_cross.py (`dynamic_mask_with_coords`) and decoder.py (`MSO`).
Shape letters: N frames of all clips, Q queries, D width, M = 16 mask channels.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vdprobe.head.config import MASK_CHANNELS, PATCH, STRIDES

M = MASK_CHANNELS


def parameter_count(width: int) -> int:
    """Of the network a query writes: two 1x1 convolutions, the first over features and (x, y)."""
    return (width + 2) * M + M * M + 2 * M


def dynamic_masks(
    features: Float[Tensor, "N D h w"], parameters: Float[Tensor, "N Q P"], centres: Float[Tensor, "N Q 2"]
) -> Float[Tensor, "N Q 16 h w"]:
    """Each query's patches of logits at stride 8.

    - `centres`: (x, y) in pixels. A query sees every place relative to its own centre, in pixels.
    """
    width, (height, across) = features.shape[1], features.shape[2:]
    first, second, bias1, bias2 = parameters.split([(width + 2) * M, M * M, M, M], dim=-1)
    first, second = first.unflatten(-1, (M, -1)), second.unflatten(-1, (M, M))
    seen = (
        (first[..., :width].flatten(1, 2) @ features.flatten(2)).unflatten(1, (-1, M)).unflatten(-1, (height, across))
    )
    # (x, y) is by itself, since every query has its own, and in float32: bfloat16 would be off by pixels.
    x, y = (centres[..., i, None] - _middles(size, centres.device) for i, size in ((0, across), (1, height)))
    to_x, to_y = first[..., width:].float().unbind(-1)  # N Q M
    seen = seen + to_x[..., None, None] * x[:, :, None, None] + to_y[..., None, None] * y[:, :, None, :, None]
    hidden = functional.relu(seen + bias1[..., None, None]).to(features.dtype).flatten(-2)
    return (second @ hidden + bias2[..., None]).unflatten(-1, (height, across))


def _middles(count: int, device: torch.device) -> Float[Tensor, " count"]:
    stride = STRIDES[1]
    return torch.arange(count, device=device, dtype=torch.float32) * stride + stride // 2


class MaskRefiner(nn.Module):
    """Patches corrected by the features at strides 8 and 4 (the paper's mask optimizer)."""

    def __init__(self, coarse_width: int, fine_width: int) -> None:
        super().__init__()
        self.coarse1 = nn.Conv2d(M + coarse_width, M, 3, padding=1)
        self.coarse2 = nn.Conv2d(M, M, 3, padding=1)
        self.fine1 = nn.Conv2d(M + fine_width, M, 3, padding=1)
        self.fine2 = nn.Conv2d(M, M, 3, padding=1)

    def forward(
        self, patches: Float[Tensor, "N 16 h w"], coarse: Float[Tensor, "N _ h w"], fine: Float[Tensor, "N _ h4 w4"]
    ) -> Float[Tensor, "N H W"]:
        """Logits of every pixel; `coarse` and `fine` are the neck's levels at strides 8 and 4."""
        patches = patches + self.coarse2(
            functional.relu(self.coarse1(functional.relu(torch.cat([patches, coarse], 1))))
        )
        patches = functional.interpolate(patches, size=fine.shape[-2:], mode="bilinear")
        patches = patches + self.fine2(functional.relu(self.fine1(functional.relu(torch.cat([patches, fine], 1)))))
        return unfold_patches(patches)


def unfold_patches(patches: Float[Tensor, "*b 16 h w"]) -> Float[Tensor, "*b H W"]:
    """Each place's 16 channels as a square of 4 x 4 logits."""
    return functional.pixel_shuffle(patches, PATCH).squeeze(-3)
