"""What a cross-attention sees in place of the text: other tokens, and tokens of its own for each latent frame.

The queries of a frame attend to the tokens of that frame alone: they are regrouped for the product, which changes no
bit where all frames have the same tokens. Behind the projection that brings a text to the width of the transformer, so
that an adapter makes tokens of that width. Whatever else a frame learns of another's tokens it learns from the
self-attention.

Shape letters: E expressions, n frames with tokens of their own (1: all alike), M tokens, D width, L text tokens.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vdprobe.models.diffusion.adapter import Adapter
from vdprobe.models.diffusion.conditions import make_condition
from vdprobe.models.diffusion.tokens import ImageTokens, TextTokens
from vdprobe.specs.features import Condition

Project = Callable[[Tensor], Tensor]
"""A text (L T) to the width of the transformer (L D)."""
HIDDEN = -10000.0
"""Added to the product of a query and a token that is not looked at, as diffusers does."""


@dataclass(frozen=True)
class FrameTexts:
    """A text of its own for each latent frame."""

    texts: Sequence[TextTokens]

    def tokens(self, project: Project) -> Float[Tensor, "n M D"]:
        """The projected texts; each text is projected once and alone."""
        made = {id(text): text for text in self.texts}
        projected = {key: project(text.hidden) for key, text in made.items()}
        return torch.stack([projected[id(text)] for text in self.texts])

    @property
    def masks(self) -> tuple[Bool[Tensor, " M"] | None, ...]:
        """Which tokens each frame looks at, None for all."""
        return tuple(text.mask for text in self.texts)


@dataclass(frozen=True)
class AdaptedTokens:
    """Text and image tokens through an adapter.

    - `image`: of the frames that the latent frames see, one for each.
    """

    condition: Condition
    frames: int
    text: TextTokens | None
    image: ImageTokens | None
    adapter: Adapter

    def tokens(self, project: Project) -> Float[Tensor, "n M D"]:
        """One set for each latent frame; one for all of them where the condition has no image."""
        text = None if self.text is None else project(self.text.hidden)
        return make_condition(self.condition, len(self.masks), text, self.image, self.adapter)

    @property
    def masks(self) -> tuple[Bool[Tensor, " M"] | None, ...]:
        """Which tokens each frame looks at: of the text those that it looks at, of the image all."""
        mask = None if self.text is None else self.text.mask
        if mask is not None and self.condition.kind == "concat" and self.image is not None:
            mask = torch.cat([mask, mask.new_ones(self.image.hidden.shape[1])])
        return (mask,) * (self.frames if self.condition.uses_image else 1)


FrameTokens = FrameTexts | AdaptedTokens


@dataclass
class CrossAttentions:
    """The cross-attentions of a network, which see the tokens that are put `in_place`, while they are.

    Their hooks stay, as a compiled block does not notice hooks that come later.
    """

    tokens: Float[Tensor, "E n M D"] | None = None
    mask: Bool[Tensor, "E n M"] | None = None
    text_length: int = 0

    @classmethod
    def of(cls, attentions: Sequence[nn.Module], text_length: int) -> "CrossAttentions":
        """Those of a network whose texts have `text_length` tokens."""
        made = cls(text_length=text_length)
        for attention in attentions:
            attention.register_forward_pre_hook(made._apart, with_kwargs=True)
            attention.register_forward_hook(made._together)
        return made

    @contextmanager
    def in_place(self, seen: Sequence[FrameTokens], project: Project) -> Iterator[None]:
        """Tokens of several conditions of one kind, one for each clip of a forward's batch."""
        self.tokens = torch.stack([one.tokens(project) for one in seen])
        masks = [mask for one in seen for mask in one.masks]
        if any(mask is not None for mask in masks):
            self.mask = torch.stack([m for m in masks if m is not None]).unflatten(0, (len(seen), -1))
        try:
            yield
        finally:
            self.tokens = self.mask = None

    def _apart(
        self, _: nn.Module, given: tuple[Any, ...], options: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """The queries of each frame as a batch entry of their own, with its tokens."""
        if self.tokens is None:
            return None
        named = dict(zip(("hidden_states", "encoder_hidden_states", "attention_mask"), given, strict=False)) | options
        rest = given[3:]
        video, text = named.pop("hidden_states"), named.pop("encoder_hidden_states")
        frames = self.tokens.shape[1]
        beside = text[:, : text.shape[1] - self.text_length]  # image tokens of a family's own come first
        beside = beside.repeat_interleave(frames, dim=0)
        tokens = torch.cat([beside, self.tokens.flatten(0, 1).to(text.dtype)], dim=1)
        bias = named.pop("attention_mask", None)
        if bias is not None and self.mask is not None:
            bias = (1 - self.mask.flatten(0, 1)[:, None].to(bias.dtype)) * HIDDEN
        elif bias is not None:
            bias = None  # that of the text whose place is taken
        return (video.unflatten(1, (frames, -1)).flatten(0, 1), tokens, bias, *rest), named

    def _together(self, _: nn.Module, given: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """The frames side by side again."""
        if self.tokens is None:
            return None
        return output.unflatten(0, (len(self.tokens), -1)).flatten(1, 2)
