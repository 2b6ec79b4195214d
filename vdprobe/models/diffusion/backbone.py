"""The frozen model as a whole: from pixels and text to tapped features.

`Backbone.load` brings in only what the taps and conditions need. Shape letters: E expressions,
F frames, C channels, H W height and width, M condition tokens, D cross-attention width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vdprobe.models.diffusion.adapter import Adapter
from vdprobe.models.diffusion.encoders import ImageEncoder, TextEncoder, VideoEncoder
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.diffusion.process import Process
from vdprobe.models.networks.device import DTYPES, pick_device
from vdprobe.models.unet3d.load import check_widths, load_unet
from vdprobe.models.unet3d.network import TappedUNet3D
from vdprobe.models.unet3d.taps import canonical_tap, split_taps
from vdprobe.specs.features import Condition
from vdprobe.specs.noise_level import NoiseLevel


@dataclass(frozen=True)
class Backbone:
    """Parts that are not needed are None."""

    process: Process
    video: VideoEncoder
    unet: TappedUNet3D | None
    text: TextEncoder | None
    image: ImageEncoder | None
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
        place = pick_device(device)
        precision = DTYPES[dtype]
        vae_taps, unet_taps = split_taps(taps)
        needs_text = any(c.uses_text for c in conditions)
        needs_image = any(c.uses_image for c in conditions)
        if unet_taps:
            check_widths(pipeline, conditions, adapters)
        for adapter in adapters:
            _place(adapter, precision, place)
        return cls(
            process=pipeline.process(),
            video=VideoEncoder.load(pipeline, vae_taps, precision, place),
            unet=load_unet(pipeline, unet_taps, precision, place) if unet_taps else None,
            text=TextEncoder.load(pipeline, precision, place) if needs_text else None,
            image=ImageEncoder.load(pipeline, precision, place) if needs_image else None,
            dtype=precision,
            device=place,
        )

    def features(
        self, noisy_latents: Float[Tensor, "C F H W"], level: NoiseLevel, conditions: Float[Tensor, "E F M D"]
    ) -> dict[str, Float[Tensor, "E F _ _ _"]]:
        """UNet taps of one clip under E conditions at once."""
        assert self.unet is not None
        out = self.unet(
            noisy_latents[None].to(self.device, self.dtype),
            torch.tensor(level.told, device=self.device),
            conditions.to(self.device, self.dtype),
        )
        return {canonical_tap(f"unet.{path}"): value for path, value in out.items()}


def _place(adapter: Adapter, dtype: torch.dtype, device: torch.device) -> None:
    adapter.to(device=device, dtype=dtype).eval().requires_grad_(False)
    if adapter.noise_predictor is not None:
        adapter.noise_predictor.float()  # 180 numbers whose output is standardised
