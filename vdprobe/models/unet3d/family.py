"""ModelScopeT2V and its like (ZeroScope, the bundled tiny-t2v): `UNet3DConditionModel` behind an image VAE.

Each frame has a latent of its own, and tokens of its own for the cross-attention.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vdprobe.models.diffusion.family import Family
from vdprobe.models.diffusion.vae_taps import split_taps
from vdprobe.models.unet3d.taps import expand_taps
from vdprobe.specs.features import Condition
from vdprobe.specs.layer import Layer, Shape

if TYPE_CHECKING:
    import torch

    from vdprobe.models.diffusion.adapter import Adapter
    from vdprobe.models.diffusion.parts_loaded import LoadedParts

DEFAULT_TAPS = ("vd-it",)
"""What VD-IT reads."""


@dataclass(frozen=True)
class UNet3D(Family):
    """The family that VD-IT is about."""

    def expand_taps(self, names: Iterable[str] | None) -> tuple[str, ...]:
        """Aliases such as `unet.up.1`, module paths, and the set `vd-it`, which is the default."""
        return expand_taps(DEFAULT_TAPS if names is None else names)

    def layers(self, *, frames: int, height: int, width: int, every_step: bool = False) -> list[Layer]:
        """The VAE's taps, then the UNet's."""
        from vdprobe.models.unet3d.layers import describe_layers

        return describe_layers(self.pipeline, frames=frames, height=height, width=width, every_step=every_step)

    def shapes(self, taps: Sequence[str], *, frames: int, height: int, width: int) -> dict[str, Shape]:
        """The shape of each tap."""
        from vdprobe.models.diffusion.frame_vae import vae_shapes
        from vdprobe.models.unet3d.layers import unet_shapes

        found: dict[str, Shape] = {}
        for part, measure in zip(split_taps(taps), (vae_shapes, unet_shapes), strict=True):
            if part:
                found |= measure(self.pipeline, list(part), frames=frames, height=height, width=width)
        return found

    def check_adapters(self, conditions: Sequence[Condition], adapters: Sequence["Adapter"]) -> None:
        """Raises `ModelError` where tokens would not fit the UNet's cross-attention."""
        from vdprobe.models.diffusion.widths import check_widths

        check_widths(self.pipeline, conditions, adapters)

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
        """The VAE, the UNet up to its last tap, and CLIP where a condition needs it."""
        from vdprobe.models.diffusion.clip_image import ImageEncoder
        from vdprobe.models.diffusion.clip_text import TextEncoder
        from vdprobe.models.diffusion.frame_vae import VideoEncoder
        from vdprobe.models.diffusion.parts_loaded import LoadedParts
        from vdprobe.models.unet3d.denoiser import UNet3DDenoiser

        pipeline = self.pipeline
        vae_taps, unet_taps = split_taps(taps)
        uses_text, uses_image = any(c.uses_text for c in conditions), any(c.uses_image for c in conditions)
        return LoadedParts(
            video=VideoEncoder.load(pipeline, vae_taps, dtype, device),
            denoiser=UNet3DDenoiser.load(pipeline, unet_taps, dtype, device, whole=whole) if unet_taps else None,
            text=TextEncoder.load(pipeline, dtype, device) if uses_text else None,
            image=ImageEncoder.load(pipeline, dtype, device) if uses_image else None,
        )
