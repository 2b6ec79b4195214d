"""The frozen model as a whole: from pixels and text to tapped features.

Shape letters: E expressions, F frames, C channels, H W height and width, f latent frames.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vdprobe.models.diffusion.adapter import Adapter
from vdprobe.models.diffusion.family import Family, family_of
from vdprobe.models.diffusion.parts_loaded import Denoiser, ImageReader, LatentEncoder, LoadedParts, TextReader
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.diffusion.process import Process
from vdprobe.models.diffusion.vae_taps import split_taps
from vdprobe.models.networks.device import DTYPES, pick_device
from vdprobe.specs.features import Condition
from vdprobe.specs.noise_level import NoiseLevel


@dataclass(frozen=True)
class Backbone:
    """A loaded model."""

    process: Process
    parts: LoadedParts
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def load(
        cls,
        pipeline: Pipeline,
        *,
        taps: Sequence[str],
        conditions: Sequence[Condition] = (),
        adapters: Sequence[Adapter] = (),
        dtype: str = "float32",
        device: str = "auto",
    ) -> "Backbone":
        """Loads what `taps` (canonical names) and `conditions` need.

        - `adapters`: what conditions and noises go through; brought to the same device and dtype, frozen.
        - `device`: `cpu`, `cuda`, `cuda:1`, ... or `auto` (CUDA where there is one).

        Raises `ModelError` for missing or torn parts and for widths that do not fit each other,
        `ConfigError` for an unknown tap.
        """
        return load_backbone(family_of(pipeline), taps, conditions, adapters, dtype, device, {})

    @property
    def video(self) -> LatentEncoder:
        """The VAE's encoder."""
        return self.parts.video

    @property
    def denoiser(self) -> Denoiser | None:
        """The denoiser, None where no tap of it is asked for."""
        return self.parts.denoiser

    @property
    def text(self) -> TextReader | None:
        """The text encoder, None where no condition uses text."""
        return self.parts.text

    @property
    def image(self) -> ImageReader | None:
        """The image encoder, None where no condition uses the image."""
        return self.parts.image

    def features(
        self, noisy_latents: Float[Tensor, "C f H W"], level: NoiseLevel, conditions: Iterable[Any]
    ) -> dict[str, Float[Tensor, "E _ _ _ _"]]:
        """The denoiser's taps of one clip under E conditions at once."""
        assert self.denoiser is not None
        return self.denoiser(noisy_latents.to(self.device, self.dtype), level, conditions)

    def predict(
        self, noisy_latents: Float[Tensor, "C f H W"], level: NoiseLevel, condition: Any
    ) -> Float[Tensor, "C f H W"]:
        """The output of a denoiser that was loaded with all of it."""
        assert self.denoiser is not None
        return self.denoiser.predict(noisy_latents.to(self.device, self.dtype), level, condition)


def load_backbone(
    family: Family,
    taps: Sequence[str],
    conditions: Sequence[Condition],
    adapters: Sequence[Adapter],
    dtype: str,
    device: str,
    settings: Mapping[str, Any],
    *,
    whole: bool = False,
) -> Backbone:
    """As `Backbone.load`, of a family, with what else changes its values; `whole` with the denoiser's output."""
    precision, place = DTYPES[dtype], pick_device(device)
    process = family.process()
    if split_taps(taps)[1]:
        family.check_adapters(conditions, adapters)
    for adapter in adapters:
        _place(adapter, precision, place)
    parts = family.load_parts(taps, conditions, precision, place, settings, whole=whole)
    return Backbone(process, parts, precision, place)


def _place(adapter: Adapter, dtype: torch.dtype, device: torch.device) -> None:
    adapter.to(device=device, dtype=dtype).eval().requires_grad_(False)
    if adapter.noise_predictor is not None:
        adapter.noise_predictor.float()  # 180 numbers whose output is standardised
