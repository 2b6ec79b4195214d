"""Wan 2.1 and 2.2 (Wan team 2025): text-to-video transformers behind a causal VAE.

Facts from diffusers' `pipeline_wan.py`, `transformer_wan.py` and `autoencoder_kl_wan.py`. Texts are always 512 tokens
of UMT5, zeros after the last one, and no mask: padding counts. Latents are standardised by the numbers in the VAE's
configuration.
"""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.pipeline import DENOISERS
from vdprobe.models.diffusion.process import TRAINING_STEPS
from vdprobe.models.transformer.facts import FRAME_AS_LATENT, Strides
from vdprobe.models.transformer.family import VideoTransformer
from vdprobe.specs.features import Condition
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.request import FeatureRequest

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from vdprobe.models.diffusion.parts_loaded import Denoiser, TextReader
    from vdprobe.models.diffusion.tokens import TextTokens

TEXT_LENGTH = 512
BOUNDARY = "boundary_ratio"


def clean_text(text: str) -> str:
    """A text as Wan's pipelines clean it: HTML's escapes resolved, and each run of spaces and line ends one space.

    Their `ftfy`, which repairs wrongly decoded characters and makes curly quotes straight, is left out: it is an
    option there that changes values by what else is installed.
    """
    return re.sub(r"\s+", " ", html.unescape(html.unescape(text)).strip()).strip()


class Wan(VideoTransformer):
    """Wan 2.1 T2V (1.3B, 14B), 2.2 TI2V (5B), and 2.2 A14B with an expert for the noisiest levels."""

    network_class: ClassVar[str] = "WanTransformer3DModel"
    vae_class: ClassVar[str] = "AutoencoderKLWan"
    block_list: ClassVar[str] = "blocks"
    cross_attention: ClassVar[str | None] = "attn2"
    caption_projection: ClassVar[str] = "condition_embedder.text_embedder"

    @property
    def strides(self) -> Strides:
        """Groups of 4 frames, 8 (2.2 5B: 16) pixels a latent, patches of 1 x 2 x 2."""
        vae = self.pipeline.config("vae")
        frames, rows, columns = self.config["patch_size"]
        return Strides(vae.get("scale_factor_temporal", 4), vae.get("scale_factor_spatial", 8), (frames, rows, columns))

    @property
    def tap_sets(self) -> Mapping[str, Sequence[str]]:
        """The middle block: VidFM3D (CVPR 2026) reads block 20 of the 14B's 40."""
        return {"default": (f"blocks.{self.blocks.count // 2}",)}

    @property
    def latent_channels(self) -> int:
        """Those of the VAE. Raises `ModelError` for a transformer that takes a first frame beside (image-to-video)."""
        taken, made = self.config["in_channels"], self.pipeline.config("vae").get("z_dim", 16)
        if taken != made:
            raise ModelError(
                f"model '{self.pipeline.name}' takes {taken} channels and its VAE makes {made}: the others are of a "
                "first frame that the video goes on from, and image-to-video models of Wan are not read here; take a "
                "text-to-video model, such as Wan-AI/Wan2.1-T2V-14B-Diffusers"
            )
        return int(taken)

    @property
    def token_width(self) -> int:
        """The width of the transformer, to which texts are brought first."""
        return int(self.config["num_attention_heads"] * self.config["attention_head_dim"])

    @property
    def boundary(self) -> float | None:
        """The s from which on `transformer` denoises, and below which `transformer_2`; None for one transformer.

        Raises `ModelError` where a pipeline of two transformers does not tell it.
        """
        if not self.pipeline.has("transformer_2"):
            return None
        ratio = self.pipeline.index.get(BOUNDARY)
        if not isinstance(ratio, int | float) or isinstance(ratio, bool) or not 0 < ratio < 1:
            raise ModelError(
                f"model '{self.pipeline.name}' has two transformers, and its model_index.json tells {BOUNDARY} "
                f"{str(ratio)[:60]}, which must be the share of noise (between 0 and 1) where one takes over from the "
                "other: is the download complete?"
            )
        return float(ratio)

    def denoiser_at(self, level: NoiseLevel) -> str:
        """The one of two transformers that was trained for the level."""
        boundary = self.boundary
        if boundary is None:
            return self.pipeline.denoiser
        return "transformer" if level.told >= boundary * TRAINING_STEPS else "transformer_2"

    def parts_at(self, condition: Condition | None, levels: Sequence[NoiseLevel]) -> tuple[str, ...]:
        """The parts, with those of the two transformers that the levels need."""
        parts = self.parts(condition)
        if condition is None:
            return parts
        needed = {self.denoiser_at(level) for level in levels}
        return (*sorted(needed), *(part for part in parts if part not in DENOISERS))

    def settings(self, request: FeatureRequest) -> dict[str, Any]:
        """Where one expert takes over from the other belongs to them."""
        settings, boundary = super().settings(request), self.boundary
        assert self.latent_channels  # an image-to-video model is told before anything is read
        return settings if boundary is None else {**settings, BOUNDARY: boundary}

    def load_denoiser(
        self,
        taps: Sequence[str],
        settings: Mapping[str, Any],
        dtype: "torch.dtype",
        device: "torch.device",
        *,
        whole: bool,
    ) -> "Denoiser":
        """The transformer, or two of them, each loaded when a level first needs it."""
        if self.boundary is None:
            return super().load_denoiser(taps, settings, dtype, device, whole=whole)
        from vdprobe.models.transformer.denoiser import TransformerDenoiser
        from vdprobe.models.transformer.experts import Experts

        alone = settings.get("latent_frames") == FRAME_AS_LATENT
        return Experts(
            self,
            alone,
            lambda part: TransformerDenoiser.load(self, taps, settings, dtype, device, part=part, whole=whole),
        )

    def text_shape(self) -> tuple[int, int]:
        """512 tokens of UMT5."""
        return TEXT_LENGTH, self.config["text_dim"]

    def load_text(self, dtype: "torch.dtype", device: "torch.device") -> "TextReader":
        """UMT5, zeros for padding."""
        from vdprobe.models.transformer.t5 import T5Reader

        reader = T5Reader.load(self.pipeline, "UMT5EncoderModel", TEXT_LENGTH, "zeros", dtype, device)
        return replace(reader, clean=clean_text)

    def normalise(self, vae: "nn.Module", latents: "Tensor") -> "Tensor":
        """(z - mean) / std of each channel, to the bit as diffusers' pipelines compute it."""
        config: Any = vae.config
        mean, std = (latents.new_tensor(values)[:, None, None] for values in (config.latents_mean, config.latents_std))
        return (latents - mean) * (1.0 / std)

    def arguments(
        self, latents: "Tensor", level: NoiseLevel, texts: Sequence["TextTokens"], settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """`timestep` is 1000 s, in float32."""
        import torch

        return {
            "hidden_states": latents,
            "timestep": torch.full((len(latents),), float(level.told), device=latents.device),
            "encoder_hidden_states": torch.stack([text.hidden for text in texts]).to(latents),
            "return_dict": False,
        }
