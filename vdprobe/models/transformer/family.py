"""Families of video diffusion transformers (DiT): what each of them says of itself, and what they share.

A family is a subclass in one file: the classes of its parts, its blocks, how latents are scaled, and the arguments of
its forward. Shape letters: E expressions, C channels, f h w latent frames, height and width.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from vdprobe.errors import ConfigError, ModelError
from vdprobe.models.diffusion.family import Family
from vdprobe.models.diffusion.settings import read_settings
from vdprobe.models.diffusion.vae_taps import split_taps
from vdprobe.models.transformer.taps import BlockNames, expand
from vdprobe.specs.features import Condition, ConditionKind
from vdprobe.specs.layer import Layer, Shape
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.request import FeatureRequest

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from vdprobe.models.diffusion.adapter import Adapter
    from vdprobe.models.diffusion.parts_loaded import LoadedParts, TextReader
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


class VideoTransformer(Family):
    """A pipeline whose denoiser is a transformer over the tokens of a temporal VAE's latents."""

    network_class: ClassVar[str]
    """Of diffusers."""
    vae_class: ClassVar[str]
    """Of diffusers."""
    text: ClassVar[Literal["none", "first", "last"]] = "none"
    """Where the text's tokens are among queries and keys of the self-attention."""
    causal: ClassVar[bool] = True
    """Whether a latent frame has seen no frame after its own."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """The settings that a request may give, and what they are otherwise."""

    @property
    @abstractmethod
    def blocks(self) -> BlockNames:
        """Its blocks."""

    @property
    @abstractmethod
    def strides(self) -> Strides:
        """Its compression."""

    @property
    @abstractmethod
    def tap_sets(self) -> Mapping[str, Sequence[str]]:
        """Sets of taps that studies use; `default` is one of them."""

    @abstractmethod
    def normalise(self, vae: "nn.Module", latents: "Tensor") -> "Tensor":
        """Latents (f C h w) of the VAE as the transformer was trained on them."""

    @abstractmethod
    def text_shape(self) -> tuple[int, int]:
        """(tokens, width) of a text as the transformer gets it."""

    @abstractmethod
    def load_text(self, dtype: "torch.dtype", device: "torch.device") -> "TextReader":
        """The text encoder."""

    @abstractmethod
    def arguments(
        self, latents: "Tensor", level: NoiseLevel, texts: Sequence["TextTokens"], settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The arguments of a forward of noisy latents (E C f h w) under as many texts."""

    @property
    def latent_channels(self) -> int:
        """Channels of the noisy latents; a family whose forward takes more beside them says so."""
        return int(self.config["in_channels"])

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the transformer."""
        return self.pipeline.config(self.pipeline.denoiser)

    def expand_taps(self, names: Iterable[str] | None) -> tuple[str, ...]:
        """Names such as `blocks.15` and `blocks.15.q`, module paths, and the family's sets."""
        return expand(("default",) if names is None else names, self.tap_sets, self.blocks)

    def resolve_condition(self, kind: ConditionKind, fingerprints: Mapping[str, str]) -> Condition:
        """`vd-t` alone."""
        if kind == "vd-t":
            return Condition(kind=kind, form="raw")
        raise ModelError(
            f"condition '{kind}' has no meaning for '{self.pipeline.name}': {self.network_class} reads text of its own "
            "encoder, whose space no image tokens are in; take vd-t"
        )

    def check_adapters(self, conditions: Sequence[Condition], adapters: Sequence["Adapter"]) -> None:
        """Raises `ModelError` for a noise predictor of other latents."""
        from vdprobe.models.diffusion.widths import check_noise_predictors

        check_noise_predictors(adapters, self.latent_channels, self.pipeline.name)

    def settings(self, request: FeatureRequest) -> dict[str, Any]:
        """The family's settings with what the request says of them, and how frames become latents."""
        settings = read_settings(request.settings, self.defaults, self.pipeline.name)
        place = self.strides.place
        if request.resize.multiple % place:
            raise ConfigError(
                f"resize.multiple (={request.resize.multiple}) must be a multiple of {place}, the pixels of a place of "
                f"'{self.pipeline.name}': set resize.multiple={place}"
            )
        return {"latent_frames": request.latent_frames, **settings}

    def layers(self, *, frames: int, height: int, width: int, every_step: bool = False) -> list[Layer]:
        """The latents, then every block; with `every_step` also their queries and keys."""
        from vdprobe.models.transformer.shapes import describe_layers

        return describe_layers(self, frames=frames, height=height, width=width, every_step=every_step)

    def shapes(self, taps: Sequence[str], *, frames: int, height: int, width: int) -> dict[str, Shape]:
        """The shape of each tap."""
        from vdprobe.models.transformer.shapes import tap_shapes

        return tap_shapes(self, taps, frames=frames, height=height, width=width)

    def load_parts(
        self,
        taps: Sequence[str],
        conditions: Sequence[Condition],
        dtype: "torch.dtype",
        device: "torch.device",
        settings: Mapping[str, Any],
    ) -> "LoadedParts":
        """The VAE, the transformer's modules up to the last tap, and the text encoder where a condition needs it."""
        from vdprobe.models.diffusion.parts_loaded import LoadedParts
        from vdprobe.models.transformer.denoiser import TransformerDenoiser
        from vdprobe.models.transformer.vae import TemporalVAE

        own = split_taps(taps)[1]
        return LoadedParts(
            video=TemporalVAE.load(
                self, frame_as_latent=settings.get("latent_frames") == FRAME_AS_LATENT, device=device
            ),
            denoiser=TransformerDenoiser.load(self, own, settings, dtype, device) if own else None,
            text=self.load_text(dtype, device) if any(c.uses_text for c in conditions) else None,
            image=None,
        )
