"""Clips of one shape as a batch, and the losses of the head on it.

Shape letters: B clips, F frames of a clip, N = B F, L words, T width of a word.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vdprobe.head.dropout import clip_draws
from vdprobe.head.head import Head
from vdprobe.head.losses import LayerLoss, head_losses
from vdprobe.head.outputs import Target
from vdprobe.head.words import pad_words
from vdprobe.training.head_clips import HeadClip
from vdprobe.training.referring_clips import derive_seed


@dataclass(frozen=True)
class HeadBatch:
    """What the head reads of some clips of one shape, and what it should say.

    - `levels`: of all frames, clip after clip. `sizes`: (height, width) of each clip's picture.
    - `generators`: of each clip's dropout.
    """

    levels: list[Float[Tensor, "N _ _ _"]]
    words: Float[Tensor, "B L T"]
    padding: Bool[Tensor, "B L"]
    sizes: list[tuple[int, int]]
    target: Target
    generators: list[torch.Generator]


def by_shape(clips: Iterable[HeadClip]) -> list[list[HeadClip]]:
    """Clips whose padded frames have one size and number, together."""
    groups: dict[tuple[int, ...], list[HeadClip]] = {}
    for clip in clips:
        groups.setdefault(tuple(clip.target.masks.shape), []).append(clip)
    return list(groups.values())


def make_batch(
    clips: Sequence[HeadClip], words: Sequence[Float[Tensor, "_ T"]], seed: int, step: int, device: torch.device
) -> HeadBatch:
    """Clips of one shape with the `words` of their texts, on the device. Dropout is drawn from (seed, step, place)."""
    padded, padding = pad_words(words)
    targets = [clip.target for clip in clips]
    generators = [torch.Generator(device) for _ in clips]
    for clip, generator in zip(clips, generators, strict=True):
        generator.manual_seed(derive_seed(seed, "dropout", step, clip.place))
    return HeadBatch(
        levels=[torch.cat(parts).to(device) for parts in zip(*(clip.levels for clip in clips), strict=True)],
        words=padded.to(device),
        padding=padding.to(device),
        sizes=[clip.size for clip in clips],
        target=Target(
            boxes=torch.stack([target.boxes for target in targets]).to(device),
            masks=torch.stack([target.masks for target in targets]).to(device),
            visible=torch.stack([target.visible for target in targets]).to(device),
        ),
        generators=generators,
    )


class HeadLosses(nn.Module):
    """A head and its criterion, as one module."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, batch: HeadBatch, frames: Int[Tensor, ""]) -> dict[str, Float[Tensor, ""]]:
        """`total` is what is minimised, a sum over decoder layers; the others are the last layer's, unweighted.

        - `frames`: that show their object, in the whole batch of which this is a part. The losses of the parts
          add up to that of the whole.
        """
        with clip_draws(self.head, batch.generators):
            guesses = self.head(batch.levels, batch.words, batch.padding, batch.sizes)
            layers = head_losses(self.head.matched(guesses, batch.target), batch.target, frames)
        total = torch.stack([layer.total for layer in layers]).sum()
        return {"total": total} | {field.name: getattr(layers[-1], field.name) for field in fields(LayerLoss)}
