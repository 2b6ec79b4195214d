"""Families of video UNets: what they share. A family is a subclass in one file.

Every frame has a latent of its own (an image VAE), so that `frame-as-latent` is what happens anyway.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vdprobe.errors import ConfigError, ModelError
from vdprobe.models.diffusion.family import Family
from vdprobe.models.diffusion.settings import read_settings
from vdprobe.models.diffusion.vae_taps import split_taps
from vdprobe.models.unet.facts import LATENT_STRIDE, UNetFacts
from vdprobe.models.unet.taps import expand
from vdprobe.specs.features import Condition
from vdprobe.specs.layer import Layer, Shape
from vdprobe.specs.request import FeatureRequest

if TYPE_CHECKING:
    import torch

    from vdprobe.models.diffusion.adapter import Adapter
    from vdprobe.models.diffusion.frame_vae import VideoEncoder
    from vdprobe.models.diffusion.parts_loaded import ImageReader, LoadedParts, TextReader


class VideoUNet(UNetFacts, Family):
    """A pipeline whose denoiser is a UNet over the latents of an image VAE, frame by frame."""

    def load_text(self, dtype: "torch.dtype", device: "torch.device") -> "TextReader":
        """CLIP's text encoder, its last hidden state."""
        from vdprobe.models.diffusion.clip_text import TextEncoder

        return TextEncoder.load(self.pipeline, dtype, device)

    @abstractmethod
    def load_image(
        self, video: "VideoEncoder", settings: Mapping[str, Any], dtype: "torch.dtype", device: "torch.device"
    ) -> "ImageReader | None":
        """What reads the frames for conditions that use them; None where the settings leave them out.

        - `video`: the encoder of the VAE.
        """

    def expand_taps(self, names: Iterable[str] | None) -> tuple[str, ...]:
        """Names such as `unet.up.1` and `unet.up.1.0.q`, module paths, and the family's sets."""
        return expand(("default",) if names is None else names, self.tap_sets, self.blocks, self.stem)

    def check_adapters(self, conditions: Sequence[Condition], adapters: Sequence["Adapter"]) -> None:
        """Raises `ModelError` for a noise predictor of other latents."""
        from vdprobe.models.diffusion.widths import check_noise_predictors

        check_noise_predictors(adapters, self.latent_channels, self.pipeline.name)

    def settings(self, request: FeatureRequest) -> dict[str, Any]:
        """The family's settings with what the request says of them."""
        if request.resize.multiple % LATENT_STRIDE:
            raise ConfigError(
                f"resize.multiple (={request.resize.multiple}) must be a multiple of {LATENT_STRIDE}, the pixels of a "
                f"latent of '{self.pipeline.name}': set resize.multiple=32"
            )
        return read_settings(request.settings, self.defaults, self.pipeline.name)

    def layers(self, *, frames: int, height: int, width: int, every_step: bool = False) -> list[Layer]:
        """The VAE's taps, then the UNet's blocks; with `every_step` also the queries and keys inside them."""
        from vdprobe.models.unet.shapes import describe_layers

        return describe_layers(self, frames=frames, height=height, width=width, every_step=every_step)

    def shapes(self, taps: Sequence[str], *, frames: int, height: int, width: int) -> dict[str, Shape]:
        """The shape of each tap."""
        from vdprobe.models.unet.shapes import tap_shapes

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
        """The VAE, the UNet's modules up to the last tap, and the encoders that conditions need."""
        from vdprobe.models.diffusion.frame_vae import VideoEncoder
        from vdprobe.models.diffusion.parts_loaded import LoadedParts
        from vdprobe.models.unet.denoiser import UNetDenoiser

        settings = {**self.defaults, **settings}  # a backbone that is loaded without a request has none
        vae_taps, own = split_taps(taps)
        video = VideoEncoder.load(self.pipeline, vae_taps, dtype, device)
        uses_text, uses_image = any(c.uses_text for c in conditions), any(c.uses_image for c in conditions)
        return LoadedParts(
            video=video,
            denoiser=UNetDenoiser.load(self, own, settings, dtype, device, whole=whole) if own else None,
            text=self.load_text(dtype, device) if uses_text else None,
            image=self.load_image(video, settings, dtype, device) if uses_image else None,
        )


def check_given_image(family: UNetFacts, conditions: Iterable[Condition], widths: Mapping[str, str]) -> None:
    """Raises `ModelError` where a family that was trained on a given image is asked for something else.

    - `widths`: the encoders whose tokens the UNet takes as they are, and what their configurations call the width.
    """
    name, wanted = family.pipeline.name, family.config["cross_attention_dim"]
    if any(condition.form == "adapter" for condition in conditions):
        raise ModelError(
            f"'{name}' has no place for an adapter: its image is the clip's first frame, as it was trained, and the "
            "same for all frames; leave the adapter out, or take a model with tokens for each frame (ModelScopeT2V, "
            "AnimateDiff)"
        )
    for part, key in widths.items():
        width = family.pipeline.config(part)[key]
        if width != wanted:
            raise ModelError(
                f"model '{name}': its {part} gives embeddings of width {width}, its unet takes {wanted}; they do not "
                "belong together"
            )
