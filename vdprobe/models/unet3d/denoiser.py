"""The tapped UNet as a denoiser of clips.

Shape letters: E expressions, F frames, C channels, H W height and width, M condition tokens, D cross-attention width.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vdprobe.models.diffusion.adapter import Adapter
from vdprobe.models.diffusion.conditions import make_condition
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.diffusion.tokens import ImageTokens, TextTokens
from vdprobe.models.unet3d.load import load_unet
from vdprobe.models.unet3d.network import TappedUNet3D
from vdprobe.models.unet3d.taps import canonical_tap, module_path
from vdprobe.specs.features import Condition
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.spans import Spans

OUTPUT = "unet.out"
ONE_FRAME = (
    "clip of one frame: the temporal layers are skipped, all but the first of the mid block, as in the official code"
)


@dataclass(frozen=True)
class UNet3DDenoiser:
    """The UNet up to its last tap; every frame has condition tokens of its own."""

    unet: TappedUNet3D
    taps: tuple[str, ...]

    @classmethod
    def load(
        cls, pipeline: Pipeline, taps: Sequence[str], dtype: torch.dtype, device: torch.device, *, whole: bool
    ) -> "UNet3DDenoiser":
        """The UNet up to the last of `taps`, or all of it."""
        unet = load_unet(pipeline, [*taps, OUTPUT] if whole else taps, dtype, device)
        return cls(unet, tuple(module_path(tap).removeprefix("unet.") for tap in taps))

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
        out = self.unet(latents[None], _time(level, latents), tokens, self.taps)
        return {canonical_tap(f"unet.{path}"): value for path, value in out.items()}

    def predict(
        self, latents: Float[Tensor, "C F H W"], level: NoiseLevel, condition: Float[Tensor, "F M D"]
    ) -> Float[Tensor, "C F H W"]:
        """What the UNet gives for latents under a condition."""
        tokens = condition[None].to(latents)
        path = module_path(OUTPUT).removeprefix("unet.")
        return self.unet(latents[None], _time(level, latents), tokens, (path,))[path][0].transpose(0, 1)

    def facts(self, frames: int) -> tuple[str, ...]:
        """That the temporal layers are skipped, where they are."""
        return (ONE_FRAME,) if frames == 1 else ()

    def compile(self) -> None:
        """Compiles each step of the UNet on its own."""
        self.unet.compile()

    def spans(self, tap: str, latents: Spans) -> Spans:
        """The UNet keeps the frames that it is given."""
        return latents


def _time(level: NoiseLevel, latents: Tensor) -> Tensor:
    return torch.tensor(int(level.told), device=latents.device)
