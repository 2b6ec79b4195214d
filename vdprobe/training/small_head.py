"""A small segmentation head: what an adapter is trained through, and no more.

It sees each frame alone and the text as one vector: what it knows of time, and of how words belong
together, comes from the frozen model's features. Shape letters: F frames, C channels, D width of the text.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.diffusion.tokens import TextTokens
from vdprobe.models.networks.group_norm import GroupNorm

WIDTH = 64
"""Channels: under a million parameters at the size of ModelScopeT2V too."""
STRIDE = 4
"""Pixels of a logit's side."""
OBJECT_SHARE = 0.1
"""What the untrained head says of every cell: about how much of a frame an object fills."""


class SmallHead(nn.Module):
    """Levels to one width, summed at stride 8, told by the text what to find, refined at stride 4.

    - `level_widths`: channels of VD-IT's four levels, finest first.
    - `text_width`: of the pooled text.
    """

    def __init__(self, level_widths: Sequence[int], text_width: int, *, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            # Levels differ in scale by orders of magnitude: each is normalised before the sum.
            self.levels = nn.ModuleList(
                nn.Sequential(nn.Conv2d(width, WIDTH, 1), GroupNorm(8, WIDTH)) for width in level_widths
            )
            self.text = nn.Sequential(nn.LayerNorm(text_width), nn.Linear(text_width, 4 * WIDTH))
            self.coarse = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(2))
            self.fine = nn.Conv2d(WIDTH, WIDTH // 2, 3, padding=1)
            self.out = nn.Conv2d(WIDTH // 2, 1, 3, padding=1)
            assert self.out.bias is not None
            nn.init.constant_(self.out.bias, torch.tensor(OBJECT_SHARE).logit().item())

    def forward(self, levels: Sequence[Float[Tensor, "F _ _ _"]], text: Float[Tensor, " D"]) -> Float[Tensor, "F H W"]:
        """Mask logits at stride 4 from levels at strides 4, 8, 16, 32, and the pooled text."""
        finest, *others = (layer(level) for layer, level in zip(self.levels, levels, strict=True))
        size = others[0].shape[-2:]
        x = torch.stack([_resize(level, size) for level in others]).sum(dim=0)
        modulation = self.text(text).reshape(2, 2, WIDTH, 1, 1)
        for conv, (scale, shift) in zip(self.coarse, modulation, strict=True):
            x = functional.relu(conv(x * (1 + scale) + shift))
        x = _resize(x, finest.shape[-2:]) + finest
        return self.out(functional.relu(self.fine(x)))[:, 0]


def level_widths(pipeline: Pipeline) -> tuple[int, int, int, int]:
    """Channels of VD-IT's four levels (`VDIT_LEVELS`), as a model's configuration gives them."""
    down = pipeline.config("unet")["block_out_channels"]
    up = down[::-1]
    return pipeline.config("vae")["block_out_channels"][2], down[0] + up[2], down[0] + up[1], down[1] + up[0]


def pooled_text(tokens: TextTokens) -> Float[Tensor, " D"]:
    """The hidden state at the end of the text, as CLIP pools it: a causal encoder has seen all of it there."""
    return tokens.hidden[min(tokens.count, len(tokens.hidden)) - 1]


def _resize(x: Tensor, size: Sequence[int]) -> Tensor:
    if x.shape[-2:] == tuple(size):
        return x
    return functional.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)
