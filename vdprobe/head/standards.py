"""Channels of the features brought to mean 0 and deviation 1, by statistics of what a head was trained on.

Levels of different models differ in scale by an order of magnitude and more (deviations of 0.15 to 8), and so does how
fast a head learns from them. Shape letters: N frames, C channels, h w height and width of a level.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

LEAST = 0.01
"""A channel's deviation is taken as this share of its level's at least: one that hardly varies would be all noise."""


@dataclass(frozen=True)
class Statistics:
    """Mean and deviation of each channel of a level."""

    mean: Float[Tensor, " C"]
    deviation: Float[Tensor, " C"]


class Standard(nn.Module):
    """Mean and deviation of a level's channels, as they were measured; without effect until they are."""

    mean: Float[Tensor, " C"]
    deviation: Float[Tensor, " C"]

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def take(self, found: Statistics) -> None:
        """Has these from now on."""
        self.mean.copy_(found.mean)
        self.deviation.copy_(found.deviation)

    def forward(self, level: Float[Tensor, "N C h w"]) -> Float[Tensor, "N C h w"]:
        """The level with standardised channels."""
        return (level - self.mean[:, None, None]) / self.deviation[:, None, None]


def measure(clips: Iterable[Sequence[Float[Tensor, "_ _ _ _"]]]) -> list[Statistics]:
    """Of each level over all places of all clips, each of which gives its levels; in one pass, in float64."""
    counts: list[int] = []
    means: list[Tensor] = []
    squares: list[Tensor] = []  # sums of squared distances from the mean
    for levels in clips:
        for i, level in enumerate(levels):
            values = level.double().transpose(0, 1).flatten(1)
            count, mean = values.shape[1], values.mean(1)
            square = (values - mean[:, None]).square().sum(1)
            if i == len(counts):
                counts.append(count)
                means.append(mean)
                squares.append(square)
                continue
            before, counts[i] = counts[i], counts[i] + count
            away = mean - means[i]
            means[i] = means[i] + away * (count / counts[i])
            squares[i] = squares[i] + square + away.square() * (before * count / counts[i])
    return [_statistics(*level) for level in zip(counts, means, squares, strict=True)]


def _statistics(count: int, mean: Float[Tensor, " C"], squares: Float[Tensor, " C"]) -> Statistics:
    variance = squares / count
    least = LEAST * variance.mean().sqrt()
    deviation = variance.sqrt().clamp(min=float(least) or 1.0)
    return Statistics(mean.float(), deviation.float())
