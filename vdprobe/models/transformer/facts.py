"""What each family of video diffusion transformers (DiT) says of itself.

The classes of its parts, its blocks, how latents are scaled, and the arguments of its forward. Nothing here imports
torch. Shape letters: E expressions, C channels, f h w latent frames, height and width.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.transformer.taps import BlockNames
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.spans import Spans, frame_spans, group_spans

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vdprobe.models.diffusion.tokens import TextTokens

FRAME_AS_LATENT = "frame-as-latent"


@dataclass(frozen=True)
class Strides:
    """How a clip becomes latents and places.

    - `group`: frames of a latent frame after the first, which stands for one. `side`: pixels per latent.
    - `patch`: latent frames, rows and columns per token.
    """

    group: int
    side: int
    patch: tuple[int, int, int]

    @property
    def place(self) -> int:
        """Pixels per place of a tap."""
        return self.side * self.patch[1]


class TransformerFacts(ABC):
    """What a family of transformers says of itself: all that the loaded parts have to know."""

    pipeline: Pipeline

    network_class: ClassVar[str]
    """The transformer's class in diffusers."""
    vae_class: ClassVar[str]
    """The VAE's class in diffusers."""
    block_list: ClassVar[str] = "transformer_blocks"
    """The list of its blocks."""
    self_attention: ClassVar[str] = "attn1"
    """Where in a block its self-attention is, or the joint attention of video and text."""
    text: ClassVar[Literal["none", "first", "last"]] = "none"
    """Where the text's tokens are among queries and keys of the self-attention."""
    causal: ClassVar[bool] = True
    """Whether a latent frame has seen no frame after its own."""
    batched: ClassVar[bool] = True
    """Whether one forward may go through several texts."""
    cross_attention: ClassVar[str | None] = None
    """Where in a block its attention to the text is; None where text and video attend to each other in one."""
    caption_projection: ClassVar[str] = ""
    """What brings a text to the width of the cross-attentions."""

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The settings that a request may give, and what they are otherwise."""
        return {}

    @property
    def blocks(self) -> BlockNames:
        """Its blocks; a family with several lists of them says so."""
        config = self.config
        lists = ((self.block_list, config["num_layers"]),)
        return BlockNames(lists, (self.self_attention,), config["num_attention_heads"])

    @property
    @abstractmethod
    def strides(self) -> Strides:
        """Its compression."""

    @property
    @abstractmethod
    def tap_sets(self) -> Mapping[str, Sequence[str]]:
        """Sets of taps that studies use; `default` is one of them."""

    def normalise(self, vae: "nn.Module", latents: "Tensor") -> "Tensor":
        """Latents (f C h w) of the VAE as the transformer was trained on them: by the VAE's one factor in most."""
        network: Any = vae
        return latents * network.config.scaling_factor

    def prepare_network(self, network: "nn.Module") -> None:  # noqa: B027
        """Replaces what of a made network does not run everywhere; nothing in most families."""

    def prepare_vae(self, vae: "nn.Module", settings: Mapping[str, Any]) -> None:  # noqa: B027
        """Sets what of a loaded VAE the settings determine; nothing in most families."""

    @abstractmethod
    def text_shape(self) -> tuple[int, int]:
        """(tokens, width) of a text as the transformer gets it."""

    def pooled_width(self) -> int:
        """Width of the one vector of a text that the transformer gets beside its tokens, 0 where it gets none."""
        return 0

    @abstractmethod
    def arguments(
        self, latents: "Tensor", level: NoiseLevel, texts: Sequence["TextTokens"], settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The arguments of a forward of noisy latents (E C f h w) under as many texts."""

    def output(self, value: "Tensor", size: Sequence[int]) -> "Tensor":
        """What a whole forward gives, as latents (E C f h w) of `size` (C f h w)."""
        return value

    @property
    def latent_channels(self) -> int:
        """Channels of the noisy latents; a family whose forward takes more beside them says so."""
        return int(self.config["in_channels"])

    @property
    def token_width(self) -> int:
        """Channels of a token as the cross-attentions take it, or of a text where there are none."""
        return self.text_shape()[1]

    def denoiser_at(self, level: NoiseLevel) -> str:
        """The part that denoises at a level."""
        return self.pipeline.denoiser

    def latent_spans(self, frames: int, *, frame_as_latent: bool) -> Spans:
        """The frames that each latent frame stands for."""
        return frame_spans(frames) if frame_as_latent else group_spans(frames, self.strides.group)

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the transformer."""
        return self.pipeline.config(self.pipeline.denoiser)
