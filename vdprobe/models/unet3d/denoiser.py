"""The tapped UNet as a denoiser of clips.

Shape letters: E expressions, F frames, C channels, H W height and width, M condition tokens, D cross-attention width.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vdprobe.models.diffusion.adapter import Adapter
from vdprobe.models.diffusion.conditions import make_condition
from vdprobe.models.diffusion.tokens import ImageTokens, TextTokens
from vdprobe.models.unet3d.network import TappedUNet3D
from vdprobe.models.unet3d.taps import canonical_tap
from vdprobe.specs.features import Condition
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.spans import Spans


@dataclass(frozen=True)
class UNet3DDenoiser:
    """The UNet up to its last tap; every frame has condition tokens of its own."""

    unet: TappedUNet3D

    def condition(
        self,
        condition: Condition,
        frames: int,
        text: TextTokens | None,
        image: ImageTokens | None,
        adapter: Adapter | None,
    ) -> Float[Tensor, "F M D"]:
        """The tokens of each frame."""
        return make_condition(condition, frames, None if text is None else text.hidden, image, adapter)

    def __call__(
        self, latents: Float[Tensor, "C F H W"], level: NoiseLevel, conditions: Iterable[Float[Tensor, "F M D"]]
    ) -> dict[str, Float[Tensor, "E F _ _ _"]]:
        """The taps of one clip under E conditions at once."""
        tokens = torch.stack(tuple(conditions)).to(latents.device, latents.dtype)
        out = self.unet(latents[None], torch.tensor(int(level.told), device=latents.device), tokens)
        return {canonical_tap(f"unet.{path}"): value for path, value in out.items()}

    def compile(self) -> None:
        """Compiles each step of the UNet on its own."""
        self.unet.compile()

    def spans(self, tap: str, latents: Spans) -> Spans:
        """The UNet keeps the frames that it is given."""
        return latents
