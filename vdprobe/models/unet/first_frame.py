"""A clip's first frame as image-to-video models take it: CLIP's embedding of the picture, and its latents.

There is one image for all frames. VD-IT's `vd-i` gives each frame the tokens of its own picture; here every frame gets
those of the first. Shape letters: F frames, C channels, H W height and width, h w of the latents, P embedding width,
V image width, S side of CLIP's pictures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from vdprobe.models.diffusion.frame_vae import VideoEncoder
from vdprobe.models.diffusion.noise import gaussian
from vdprobe.models.diffusion.tokens import ImageTokens
from vdprobe.specs.clip import Clip


@dataclass(frozen=True)
class FirstFrame:
    """What the network gets of the first frame; None in place of both is what guidance without it gets: zeros."""

    embedding: Float[Tensor, "1 P"]
    latents: Float[Tensor, "C h w"]

    @classmethod
    def of(cls, image: ImageTokens) -> "FirstFrame":
        """From what a `FirstFrameReader` gives."""
        assert image.latents is not None
        return cls(image.projected[0], image.latents)


@dataclass(frozen=True)
class FirstFrameReader:
    """CLIP's vision model and the encoder of the VAE on the first of a clip's frames.

    - `prepare`: a frame in [-1, 1] to a picture in [0, 1] of the side that CLIP takes.
    - `scale`: what the latents are multiplied by.
    - `strength`, `seed`: noise that is added to the picture before the VAE, drawn from (seed, video, frame) alone.
    """

    clip: Any
    video: VideoEncoder
    prepare: Callable[[Float[Tensor, "1 3 H W"], int], Float[Tensor, "1 3 S S"]]
    scale: float = 1.0
    strength: float = 0.0
    seed: int = 0

    def __call__(self, pixels: Float[Tensor, "F 3 H W"], clip: Clip) -> ImageTokens:
        """The embedding of the first frame as its one token, and its latents: the posterior's mean."""
        frame = pixels[:1].float()
        picture = self.prepare(frame, self.clip.config.image_size)
        mean, std = (picture.new_tensor(values)[:, None, None] for values in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))
        seen = self.clip(((picture - mean) / std).to(self.clip.device, self.clip.dtype))
        if self.strength:
            draw = gaussian("augmentation", self.seed, clip.video, clip.frames[0], frame.shape[1:])
            frame = frame + self.strength * draw.to(frame.device)
        latents = self.video(frame, posterior=True).mean
        assert latents is not None
        return ImageTokens(seen.last_hidden_state[:, :1], seen.image_embeds[:, None], latents[0] * self.scale)
