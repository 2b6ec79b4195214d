"""The loaded parts of a diffusion model, as protocols: what a clip's way through the model asks of each.

Shape letters: E expressions, F frames, C channels, H W height and width, f latent frames.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from vdprobe.models.diffusion.adapter import Adapter
from vdprobe.models.diffusion.tokens import EncodedFrames, ImageTokens, TextTokens
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import Condition, LatentSampling
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.spans import Spans


@runtime_checkable
class LatentEncoder(Protocol):
    """The encoder of a VAE, with taps."""

    def __call__(self, pixels: Float[Tensor, "F 3 H W"], *, posterior: bool) -> EncodedFrames:
        """Encodes frames in [-1, 1]; without `posterior` as far as its taps need."""

    def latents(self, encoded: EncodedFrames, sampling: LatentSampling, clip: Clip) -> Float[Tensor, "C f H W"]:
        """The latents as the denoiser takes them."""

    def spans(self, frames: int) -> Spans:
        """The frames that each latent frame stands for."""

    def facts(self, frames: int) -> tuple[str, ...]:
        """What a reader should know of the latents of clips of so many frames."""


@runtime_checkable
class TextReader(Protocol):
    """A text encoder."""

    def __call__(self, text: str) -> TextTokens:
        """The tokens of one text."""


@runtime_checkable
class ImageReader(Protocol):
    """An image encoder."""

    def __call__(self, pixels: Float[Tensor, "F 3 H W"], clip: Clip) -> ImageTokens:
        """The tokens of a clip's frames in [-1, 1]; what is drawn for them belongs to the clip's video and frames."""


@runtime_checkable
class Denoiser(Protocol):
    """The denoiser up to its last tap."""

    def condition(
        self,
        condition: Condition,
        frames: int,
        text: TextTokens | None,
        image: ImageTokens | None,
        adapter: Adapter | None,
    ) -> Any:
        """What an item's forward looks at, in a clip of `frames` frames."""

    def __call__(
        self, latents: Float[Tensor, "C f H W"], level: NoiseLevel, conditions: Iterable[Any]
    ) -> dict[str, Float[Tensor, "E _ _ _ _"]]:
        """(condition, map, channel, height, width) of each tap."""

    def predict(self, latents: Float[Tensor, "C f h w"], level: NoiseLevel, condition: Any) -> Float[Tensor, "C f h w"]:
        """The output of the whole denoiser under what `condition` gave; for one that was loaded with all of it."""

    def facts(self, frames: int) -> tuple[str, ...]:
        """What a reader should know of features of clips of so many frames."""

    def compile(self) -> None:
        """Runs through `torch.compile` from now on."""

    def spans(self, tap: str, latents: Spans) -> Spans:
        """The frames that each map of a tap stands for, from those of the latents."""


@dataclass(frozen=True)
class LoadedParts:
    """The parts of a model; those that are not needed are None."""

    video: LatentEncoder
    denoiser: Denoiser | None
    text: TextReader | None
    image: ImageReader | None
