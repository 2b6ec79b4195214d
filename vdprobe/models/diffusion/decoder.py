"""From latents back to pictures: the VAE's decoder, which extraction does without.

Shape letters: F frames, C channels, H W height and width.
"""

from typing import Any

import torch
from diffusers import AutoencoderKL
from jaxtyping import Float, UInt8
from torch import Tensor

from vdprobe.errors import FeatureError
from vdprobe.models.diffusion.at_once import frames_at_once
from vdprobe.models.diffusion.frame_vae import load_vae
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.networks.group_norm import use_exact_group_norm


class VideoDecoder:
    """The VAE decoder. Its encoder is not kept."""

    def __init__(self, vae: AutoencoderKL) -> None:
        del vae.encoder, vae.quant_conv
        use_exact_group_norm(vae)
        self.vae = vae.to(memory_format=torch.channels_last)  # faster on a CPU, see `VideoEncoder`

    @classmethod
    def load(cls, pipeline: Pipeline, dtype: torch.dtype, device: torch.device) -> "VideoDecoder":
        """From a pipeline's `vae`. In float16 a VAE that asks for it (`force_upcast`) stays in float32."""
        return cls(load_vae(pipeline, dtype, device))

    def __call__(self, latents: Float[Tensor, "C F h w"]) -> UInt8[Tensor, "F H W 3"]:
        """RGB frames of scaled latents, on their device.

        Raises `FeatureError` where values are not finite, in the latents or on the way.
        """
        scaled = latents.transpose(0, 1) / self.vae.config.scaling_factor
        scaled = scaled.to(self.vae.dtype, memory_format=torch.channels_last)
        pixels = torch.cat([self._decode(chunk) for chunk in scaled.split(frames_at_once("vae", latents.device))])
        if not pixels.isfinite().all():
            name = str(self.vae.dtype).removeprefix("torch.")
            raise FeatureError(f"decoded frames hold values that are not finite, in {name}; compute in float32")
        return ((pixels.float() / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()

    def _decode(self, latents: Tensor) -> Tensor:
        vae: Any = self.vae
        return vae.decoder(latents if vae.post_quant_conv is None else vae.post_quant_conv(latents))
