"""Dropout whose draws belong to clips, not to batches, and the attention that uses it.

Where every clip has a generator of its own, what is dropped in it does not depend on which other clips
share its batch: one process with a batch and several with its parts train alike.
Shape letters: N frames of all clips (or clips), Q queries, D width, A heads.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional


class ClipDropout(nn.Module):
    """Drops the `share` of what goes through it, in training; by torch's own draws outside of `clip_draws`."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.generators: Sequence[torch.Generator] | None = None

    def forward(
        self, x: Float[Tensor, "N _ *rest"], padding: Bool[Tensor, "N _"] | None = None
    ) -> Float[Tensor, "N _ *rest"]:
        """What is kept, larger by as much as the mean would shrink. N is clip after clip.

        - `padding`: True behind the end of a clip, of which the draws must not depend on that of others.
        """
        if not self.training or not self.share:
            return x
        if self.generators is None:
            return functional.dropout(x, self.share)
        clips = len(self.generators)
        lengths = [x.shape[1]] * clips if padding is None else (~padding).sum(1).tolist()
        draws = torch.ones_like(x, dtype=torch.float32)
        for clip, length, generator in zip(draws.unflatten(0, (clips, -1)), lengths, self.generators, strict=True):
            clip[:, :length].uniform_(generator=generator)
        kept = draws.ge_(self.share).div_(1 - self.share)  # in place, as every copy of the widest layer costs
        return x * kept.to(x.dtype)


@contextmanager
def clip_draws(module: nn.Module, generators: Sequence[torch.Generator]) -> Iterator[None]:
    """Within, the dropouts of `module` draw for each clip of a batch from its generator."""
    dropouts = [part for part in module.modules() if isinstance(part, ClipDropout)]
    for dropout in dropouts:
        dropout.generators = generators
    try:
        yield
    finally:
        for dropout in dropouts:
            dropout.generators = None


class SelfAttention(nn.Module):
    """Queries of a frame read each other: `nn.MultiheadAttention`, by its names, with the dropout above."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        self.dropout = ClipDropout(dropout)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, asked: Float[Tensor, "N Q D"], x: Float[Tensor, "N Q D"]) -> Float[Tensor, "N Q D"]:
        """What each query reads in `x`; queries and keys are made of `asked`."""
        projections = zip((asked, asked, x), self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3), strict=True)
        query, key, value = (
            functional.linear(of, weight, bias).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # N A Q D/A
            for of, weight, bias in projections
        )
        weights = self.dropout((query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1))
        return self.out_proj((weights @ value).transpose(1, 2).flatten(2))
