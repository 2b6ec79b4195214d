"""The deformable transformer (Zhu et al. 2021, 4.1 and A.4; official deformable_transformer.py).

Shape letters: N frames of all clips, S places of all levels, V levels, Q queries, K decoder layers, D width.
"""

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from vdprobe.head.config import STRIDES, HeadConfig
from vdprobe.head.deformable import DeformableAttention, Grids
from vdprobe.head.dropout import ClipDropout, SelfAttention
from vdprobe.head.positions import grid_positions, valid_shares

LEVELS = len(STRIDES)
"""The transformer reads strides 8, 16, 32 and 64."""
FIRST_SCORE = 0.01
"""What an untrained head says of every query."""


class MLP(nn.Module):
    """Three linear layers."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, out)])

    def forward(self, x: Float[Tensor, "*b D"]) -> Float[Tensor, "*b out"]:
        """With a ReLU after each but the last."""
        first, second, last = self.layers
        return last(functional.relu(second(functional.relu(first(x)))))


class EncoderLayer(nn.Module):
    """Every place reads places of its frame."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        width = config.width
        self.self_attn = DeformableAttention(width, config.heads, LEVELS)
        self.norm1 = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, config.feedforward)
        self.linear2 = nn.Linear(config.feedforward, width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = ClipDropout(config.dropout)

    def forward(
        self,
        x: Float[Tensor, "N S D"],
        positions: Float[Tensor, "N S D"],
        reference: Float[Tensor, "N S V 2"],
        grids: Grids,
    ) -> Float[Tensor, "N S D"]:
        """The places, having read."""
        x = self.norm1(x + self.dropout(self.self_attn(x + positions, reference, x, grids)))
        return self.norm2(x + self.dropout(self.linear2(self.dropout(functional.relu(self.linear1(x))))))


class DecoderLayer(nn.Module):
    """Queries read each other, then their frame."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        width = config.width
        self.self_attn = SelfAttention(width, config.heads, config.dropout)
        self.norm2 = nn.LayerNorm(width)  # the official numbers are of the cross-attention, which came first once
        self.cross_attn = DeformableAttention(width, config.heads, LEVELS)
        self.norm1 = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, config.feedforward)
        self.linear2 = nn.Linear(config.feedforward, width)
        self.norm3 = nn.LayerNorm(width)
        self.dropout = ClipDropout(config.dropout)

    def forward(
        self,
        x: Float[Tensor, "N Q D"],
        positions: Float[Tensor, "N Q D"],
        reference: Float[Tensor, "N Q V R"],
        memory: Float[Tensor, "N S D"],
        grids: Grids,
    ) -> Float[Tensor, "N Q D"]:
        """The queries, having read."""
        asked = x + positions
        x = self.norm2(x + self.dropout(self.self_attn(asked, x)))
        x = self.norm1(x + self.dropout(self.cross_attn(x + positions, reference, memory, grids)))
        return self.norm3(x + self.dropout(self.linear2(self.dropout(functional.relu(self.linear1(x))))))


class Encoder(nn.Module):
    """Frames one by one: nothing here mixes them."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.level_embed = nn.Parameter(torch.randn(LEVELS, config.width))
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))
        _reset(self.layers)

    def forward(
        self, levels: Sequence[Float[Tensor, "N D _ _"]], padding: Sequence[Bool[Tensor, "N _ _"]]
    ) -> tuple[Float[Tensor, "N S D"], Grids]:
        """All places of all levels, and where they are."""
        width = levels[0].shape[1]
        grids = Grids(
            shapes=tuple((level.shape[2], level.shape[3]) for level in levels),
            padding=torch.cat([mask.flatten(1) for mask in padding], dim=1),
            valid=torch.stack([valid_shares(mask) for mask in padding], dim=1),
        )
        sines = [grid_positions(mask, width).flatten(2).mT.to(levels[0].dtype) for mask in padding]
        positions = torch.cat([sine + embed for sine, embed in zip(sines, self.level_embed, strict=True)], dim=1)
        reference = _cell_centres(grids)
        x = torch.cat([level.flatten(2).mT for level in levels], dim=1)
        for layer in self.layers:
            x = layer(x, positions, reference, grids)
        return x, grids


@dataclass(frozen=True)
class Decoded:
    """What every decoder layer says of every frame.

    - `hidden`: the queries. `logits`: of the scores.
    - `boxes`: (x, y, width, height) of centre and extent, as shares of the picture, in float32.
    - `points`: (x, y) of where the layer looked from, likewise.
    """

    hidden: Float[Tensor, "K N Q D"]
    logits: Float[Tensor, "K N Q"]
    boxes: Float[Tensor, "K N Q 4"]
    points: Float[Tensor, "K N Q 2"]


class Decoder(nn.Module):
    """Queries that refine their box layer by layer."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        width, count = config.width, config.decoder_layers
        self.positions = nn.Parameter(torch.randn(config.queries, width))
        self.reference = nn.Linear(width, 2)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(count))
        _reset(self.layers)
        nn.init.xavier_uniform_(self.reference.weight)
        nn.init.zeros_(self.reference.bias)
        score, box = nn.Linear(width, 1), MLP(width, 4)
        nn.init.constant_(score.bias, math.log(FIRST_SCORE / (1 - FIRST_SCORE)))
        for parameter in box.layers[-1].parameters():
            nn.init.zeros_(parameter)
        self.scores = nn.ModuleList(deepcopy(score) for _ in range(count))
        self.boxes = nn.ModuleList(deepcopy(box) for _ in range(count))
        *_, bias = self.boxes[0].parameters()
        with torch.no_grad():
            bias[2:] = -2  # the first box is small, later ones start where it is

    def forward(self, tokens: Float[Tensor, "N Q D"], memory: Float[Tensor, "N S D"], grids: Grids) -> Decoded:
        """Scores and boxes; `tokens` are what the queries know of the text."""
        positions = self.positions.expand(len(tokens), -1, -1)
        reference = self.reference(positions).float().sigmoid()
        x, hidden, logits, boxes, points = tokens, [], [], [], []
        for layer, score, box in zip(self.layers, self.scores, self.boxes, strict=True):
            scale = grids.valid.repeat(1, 1, reference.shape[-1] // 2)
            x = layer(x, positions, reference[:, :, None] * scale[:, None], memory, grids)
            step = _inverse_sigmoid(reference)
            points.append(reference[..., :2])
            boxes.append((box(x) + functional.pad(step, (0, 4 - step.shape[-1]))).sigmoid())  # float32, as the step is
            hidden.append(x)
            logits.append(score(x)[..., 0])
            reference = boxes[-1].detach()  # each layer answers for its own step
        return Decoded(torch.stack(hidden), torch.stack(logits), torch.stack(boxes), torch.stack(points))


def _cell_centres(grids: Grids) -> Float[Tensor, "N S V 2"]:
    """Where each place lies in each level, as shares of the padded frame."""
    device = grids.valid.device
    centres = []
    for level, (height, width) in enumerate(grids.shapes):
        rows = (torch.arange(height, device=device) + 0.5) / height
        columns = (torch.arange(width, device=device) + 0.5) / width
        shares = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).flatten(0, 1)  # cells 2
        centres.append(shares / grids.valid[:, None, level])
    return torch.cat(centres, dim=1)[:, :, None] * grids.valid[:, None]


def _inverse_sigmoid(share: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    return share.clamp(1e-5, 1).log() - (1 - share).clamp(1e-5, 1).log()


def _reset(layers: nn.ModuleList) -> None:
    for parameter in layers.parameters():
        if parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter)
    for module in layers.modules():
        if isinstance(module, DeformableAttention):
            module.reset()
