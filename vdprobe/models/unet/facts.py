"""What each family of video UNets says of itself: its class in diffusers, its conditions, the arguments of its forward.

Nothing here imports torch. Shape letters: E expressions, C channels, F frames, h w height and width of the latents.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.specs.features import Condition
from vdprobe.specs.noise_level import NoiseLevel

if TYPE_CHECKING:
    from torch import Tensor

    from vdprobe.models.diffusion.adapter import Adapter
    from vdprobe.models.diffusion.tokens import ImageTokens, TextTokens

LATENT_STRIDE = 8
"""Pixels per latent."""


class UNetFacts(ABC):
    """What a family of UNets says of itself: all that the loaded parts have to know."""

    pipeline: Pipeline

    network_class: ClassVar[str]
    """The UNet's class in diffusers."""
    stem: ClassVar[str] = "conv_in"
    """The path of the module whose output `unet.in` is."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """The settings that a request may give, and what they are otherwise."""

    @property
    @abstractmethod
    def tap_sets(self) -> Mapping[str, Sequence[str]]:
        """Sets of taps that studies use; `default` is one of them."""

    @abstractmethod
    def make_condition(
        self,
        condition: Condition,
        frames: int,
        text: "TextTokens | None",
        image: "ImageTokens | None",
        adapter: "Adapter | None",
        settings: Mapping[str, Any],
    ) -> Any:
        """What an item's forward looks at, in a clip of `frames` frames."""

    @abstractmethod
    def empty_condition(self, frames: int) -> Any:
        """What a forward looks at, without values, wherever tensors are made."""

    @abstractmethod
    def arguments(
        self, latents: "Tensor", level: NoiseLevel, conditions: Sequence[Any], settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The arguments of a forward of noisy latents (E C F h w) under as many conditions."""

    def output(self, value: "Tensor") -> "Tensor":
        """What a whole forward gives, as latents (E C F h w)."""
        return value

    def facts(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """What a reader should know of the features of every clip."""
        return ()

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration of the UNet."""
        return self.pipeline.config(self.pipeline.denoiser)

    @property
    def blocks(self) -> int:
        """The number of down blocks, and of up blocks."""
        return len(self.config["block_out_channels"])

    @property
    def latent_channels(self) -> int:
        """Channels of the noisy latents; a family whose forward takes more beside them says so."""
        return int(self.config["in_channels"])

    @property
    def token_width(self) -> int:
        """Channels of a token as the cross-attention takes it."""
        return int(self.config["cross_attention_dim"])

    def weight_files(self) -> tuple[Path, ...]:
        """The files of the UNet's weights."""
        return self.pipeline.weight_files(self.pipeline.denoiser)
