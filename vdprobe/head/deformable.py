"""Multi-scale deformable attention (Zhu et al. 2021, eq. 3; official ops/modules/ms_deform_attn.py).

A query reads a few places near its reference, in every level. The places are in float32 whatever the
weights are in: of 640 pixels, bfloat16 tells apart every second or third.

Shape letters: N frames, Q queries, V levels, P points, S places of all levels, A heads, C channels of
a head, D width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

POINTS = 4
"""Places that a head reads in each level."""


@dataclass(frozen=True)
class Grids:
    """The levels of each frame, flattened and one after another.

    - `shapes`: (height, width) of each level.
    - `valid`: shares (of the width, of the height) that are picture.
    """

    shapes: tuple[tuple[int, int], ...]
    padding: Bool[Tensor, "N S"]
    valid: Float[Tensor, "N V 2"]


class DeformableAttention(nn.Module):
    """Attention over places that the query itself chooses."""

    def __init__(self, width: int, heads: int, levels: int) -> None:
        super().__init__()
        self.heads, self.levels = heads, levels
        self.sampling_offsets = nn.Linear(width, heads * levels * POINTS * 2)
        self.attention_weights = nn.Linear(width, heads * levels * POINTS)
        self.value_proj = nn.Linear(width, width)
        self.output_proj = nn.Linear(width, width)

    def reset(self) -> None:
        """Untrained, each head looks in a direction of its own, its points 1, 2, 3, ... cells away."""
        for layer in (self.sampling_offsets, self.attention_weights):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        for layer in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        angles = torch.arange(self.heads) * (2 * math.pi / self.heads)
        directions = torch.stack([angles.cos(), angles.sin()], dim=-1)
        directions = directions / directions.abs().amax(-1, keepdim=True)
        distances = torch.arange(1, POINTS + 1)
        offsets = directions[:, None, None] * distances[:, None]  # A 1 P 2
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offsets.expand(-1, self.levels, -1, -1).flatten())

    def forward(
        self,
        query: Float[Tensor, "N Q D"],
        reference: Float[Tensor, "N Q V R"],
        memory: Float[Tensor, "N S D"],
        grids: Grids,
    ) -> Float[Tensor, "N Q D"]:
        """What each query reads.

        - `reference`: (x, y), and offsets count cells of a level; or (x, y, width, height), and they
          count eighths of the box. As shares of the padded frame.
        """
        value = self.value_proj(memory).masked_fill(grids.padding[..., None], 0).unflatten(-1, (self.heads, -1))
        offsets = self.sampling_offsets(query).float().unflatten(-1, (self.heads, self.levels, POINTS, 2))
        weights = self.attention_weights(query).float().unflatten(-1, (self.heads, -1)).softmax(-1)
        around = reference[:, :, None, :, None]
        if reference.shape[-1] == 2:
            cells = offsets.new_tensor(grids.shapes).flip(-1)  # V 2, (width, height)
            places = around + offsets / cells[:, None]
        else:
            places = around[..., :2] + offsets / POINTS * around[..., 2:] * 0.5
        read = sample(value, places, weights.unflatten(-1, (self.levels, POINTS)), grids.shapes)
        return self.output_proj(read.to(query.dtype))


def sample(
    value: Float[Tensor, "N S A C"],
    places: Float[Tensor, "N Q A V P 2"],
    weights: Float[Tensor, "N Q A V P"],
    shapes: Sequence[tuple[int, int]],
) -> Float[Tensor, "N Q A*C"]:
    """Weighted sums of bilinear samples; beyond the border lie zeros.

    - `places`: (x, y) as shares of the frame: 0 is the outer edge of the first cell, 1 of the last.
    """
    # Queries innermost: a product over four points at a time takes three times as long.
    maps = value.float().movedim(1, -1).flatten(0, 1)  # NA C S
    grid = (2 * places - 1).permute(0, 2, 3, 4, 1, 5).flatten(0, 1)  # NA V P Q 2
    shares = weights.permute(0, 2, 3, 4, 1).flatten(0, 1)  # NA V P Q
    levels = maps.split([height * width for height, width in shapes], dim=-1)
    read = maps.new_zeros(())
    for level, (cells, shape) in enumerate(zip(levels, shapes, strict=True)):
        found = functional.grid_sample(cells.unflatten(-1, shape), grid[:, level], align_corners=False)  # NA C P Q
        read = read + (found * shares[:, None, level]).sum(-2)  # NA C Q
    return read.unflatten(0, (len(value), -1)).permute(0, 3, 1, 2).flatten(2)
