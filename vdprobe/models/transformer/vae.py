"""A temporal VAE: frames to latents, several frames to one.

Shape letters: F frames, C channels, H W height and width, f h w latent frames, height and width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import diffusers
import torch
from jaxtyping import Float
from torch import Tensor

from vdprobe.models.diffusion.noise import gaussian_clip
from vdprobe.models.diffusion.tokens import EncodedFrames
from vdprobe.models.diffusion.vae_taps import LATENTS
from vdprobe.models.networks.tapped import load_onto_meta
from vdprobe.models.networks.weights import fill
from vdprobe.models.transformer.facts import FRAME_AS_LATENT, TransformerFacts
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import LatentSampling
from vdprobe.specs.spans import Spans


@dataclass(frozen=True)
class TemporalVAE:
    """The encoder of a family's VAE, in float32: several lose their values in less.

    - `frame_as_latent`: each frame is encoded alone.
    """

    family: TransformerFacts
    vae: Any
    frame_as_latent: bool

    @classmethod
    def load(cls, family: TransformerFacts, settings: Mapping[str, Any], device: torch.device) -> "TemporalVAE":
        """The VAE of the family's pipeline."""
        pipeline, kind = family.pipeline, getattr(diffusers, family.vae_class)
        vae: Any = load_onto_meta(lambda: kind.from_config(pipeline.config("vae")))
        del vae.decoder
        fill(vae, pipeline.seed("vae"), lambda: pipeline.weight_files("vae"), torch.float32, device)
        vae.to(device)
        family.prepare_vae(vae, settings)
        return cls(family, vae.eval().requires_grad_(False), settings.get("latent_frames") == FRAME_AS_LATENT)

    def __call__(self, pixels: Float[Tensor, "F 3 H W"], *, posterior: bool) -> EncodedFrames:
        """Encodes frames in [-1, 1]; the last one is repeated until its group is full."""
        if self.frame_as_latent:
            moments = [self._encode(frame) for frame in pixels.float().split(1)]
        else:
            missing = -(len(pixels) - 1) % self.family.strides.group
            moments = [self._encode(torch.cat([pixels, pixels[-1:].expand(missing, -1, -1, -1)]).float())]
        mean, std = (torch.cat(parts) for parts in zip(*moments, strict=True))
        return EncodedFrames({LATENTS: self.family.normalise(self.vae, mean)}, mean, std)

    def latents(self, encoded: EncodedFrames, sampling: LatentSampling, clip: Clip) -> Float[Tensor, "C f h w"]:
        """Scaled latents; a `sample` is drawn from (seed, video, first frame of each latent frame) alone."""
        assert encoded.mean is not None and encoded.std is not None
        latents = encoded.mean
        if sampling.kind == "sample":
            assert sampling.seed is not None
            channels, height, width = latents.shape[1:]
            draw = gaussian_clip("posterior", sampling.seed, clip.video, clip.frames, (channels, height, width))
            latents = latents + encoded.std * draw.transpose(0, 1).to(latents.device)
        return self.family.normalise(self.vae, latents).transpose(0, 1)

    def spans(self, frames: int) -> Spans:
        """One latent frame a frame, or one for each group."""
        return self.family.latent_spans(frames, frame_as_latent=self.frame_as_latent)

    def facts(self, frames: int) -> tuple[str, ...]:
        """That a group was filled, if it was."""
        group = self.family.strides.group
        if self.frame_as_latent or (frames - 1) % group == 0:
            return ()
        return (f"clip of {frames} frames, not 1 + a multiple of {group}: its last frame is repeated to fill a group",)

    def _encode(self, pixels: Float[Tensor, "F 3 H W"]) -> tuple[Float[Tensor, "f C h w"], Float[Tensor, "f C h w"]]:
        posterior = self.vae.encode(pixels.transpose(0, 1)[None]).latent_dist
        return posterior.mean[0].transpose(0, 1), posterior.std[0].transpose(0, 1)
