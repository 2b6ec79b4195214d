"""Families of video diffusion transformers (DiT): what they share. A family is a subclass in one file."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vdprobe.errors import ConfigError, ModelError
from vdprobe.models.diffusion.family import Family
from vdprobe.models.diffusion.forms import ADAPTER_PARTS, resolve_condition
from vdprobe.models.diffusion.settings import read_settings
from vdprobe.models.diffusion.vae_taps import split_taps
from vdprobe.models.transformer.facts import FRAME_AS_LATENT, TransformerFacts
from vdprobe.models.transformer.taps import expand
from vdprobe.specs.features import Condition, ConditionKind
from vdprobe.specs.layer import Layer, Shape
from vdprobe.specs.request import FeatureRequest

if TYPE_CHECKING:
    import torch

    from vdprobe.models.diffusion.adapter import Adapter
    from vdprobe.models.diffusion.parts_loaded import Denoiser, LoadedParts, TextReader


class VideoTransformer(TransformerFacts, Family):
    """A pipeline whose denoiser is a transformer over the tokens of a temporal VAE's latents."""

    @abstractmethod
    def load_text(self, dtype: "torch.dtype", device: "torch.device") -> "TextReader":
        """The text encoder."""

    def expand_taps(self, names: Iterable[str] | None) -> tuple[str, ...]:
        """Names such as `blocks.15` and `blocks.15.q`, module paths, and the family's sets."""
        return expand(("default",) if names is None else names, self.tap_sets, self.blocks)

    def resolve_condition(self, kind: ConditionKind, fingerprints: Mapping[str, str]) -> Condition:
        """`vd-t`; where cross-attentions look at the text, any other through an adapter."""
        parts = ADAPTER_PARTS[kind]
        missing = [part for part in parts if part not in fingerprints]
        if kind == "vd-t" and (missing or self.cross_attention is None):
            return Condition(kind=kind, form="raw")
        if self.cross_attention is None:
            raise ModelError(
                f"condition '{kind}' has no meaning for '{self.pipeline.name}': {self.network_class} reads text of its "
                "own encoder, whose space no image tokens are in; take vd-t"
            )
        if missing:
            has = f"this one has {', '.join(fingerprints)}" if fingerprints else "none is given"
            raise ModelError(
                f"condition '{kind}' of '{self.pipeline.name}' needs an adapter with {' and '.join(parts)}, as the "
                f"space of its text encoder has no image tokens in it; {has}: give --adapter FILE (or --adapter "
                "random:0 for an untrained control), or take vd-t, which needs nothing trained"
            )
        condition = resolve_condition(kind, fingerprints)
        return replace(condition, frame="last") if condition.uses_image else condition

    def check_adapters(self, conditions: Sequence[Condition], adapters: Sequence["Adapter"]) -> None:
        """Raises `ModelError` where latents, image tokens or a text would not fit an adapter."""
        from vdprobe.models.transformer.adapter_widths import check_widths

        for adapter in adapters:
            check_widths(self, conditions, adapter)

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

    def frame_group(self, request: FeatureRequest) -> int:
        """The group of the VAE, unless each frame is encoded alone."""
        return 1 if request.latent_frames == FRAME_AS_LATENT else self.strides.group

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
        *,
        whole: bool = False,
    ) -> "LoadedParts":
        """The VAE, the transformer's modules up to the last tap, and the encoders that conditions need."""
        from vdprobe.models.diffusion.clip_image import ImageEncoder
        from vdprobe.models.diffusion.parts_loaded import LoadedParts
        from vdprobe.models.transformer.vae import TemporalVAE

        own, settings = split_taps(taps)[1], {**self.defaults, **settings}
        uses_image = any(c.uses_image for c in conditions)
        return LoadedParts(
            video=TemporalVAE.load(self, settings, device),
            denoiser=self.load_denoiser(own, settings, dtype, device, whole=whole) if own else None,
            text=self.load_text(dtype, device) if any(c.uses_text for c in conditions) else None,
            image=ImageEncoder.load(self.pipeline, dtype, device) if uses_image else None,
        )

    def load_denoiser(
        self,
        taps: Sequence[str],
        settings: Mapping[str, Any],
        dtype: "torch.dtype",
        device: "torch.device",
        *,
        whole: bool,
    ) -> "Denoiser":
        """The transformer's modules up to the last tap, or the `whole` of it."""
        from vdprobe.models.transformer.denoiser import TransformerDenoiser

        return TransformerDenoiser.load(self, taps, settings, dtype, device, whole=whole)
