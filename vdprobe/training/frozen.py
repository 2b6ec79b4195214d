"""The frozen side of a training: encodings, which never change, and features, by the code of an extraction.

Shape letters: F frames, C channels, H W height and width.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from vdprobe.data.frames import FrameReader
from vdprobe.data.resize import prepare_frames
from vdprobe.data.video import Video
from vdprobe.models.diffusion.adapter import Adapter
from vdprobe.models.diffusion.backbone import Backbone
from vdprobe.models.diffusion.clip_text import TextEncoder
from vdprobe.models.diffusion.conditions import make_condition
from vdprobe.models.diffusion.noise import add_noise, make_noise
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.diffusion.tokens import EncodedFrames, ImageTokens, TextTokens
from vdprobe.models.unet3d.taps import VDIT_TAPS
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import Condition, LatentSampling, Noise
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.training.config import AdapterTrainingConfig

T = TypeVar("T", "EncodedClip", TextTokens)


@dataclass(frozen=True)
class EncodedClip:
    """What the frozen encoders give for a clip: the VAE's posterior and tap, and image tokens where needed.

    - `size`: (height, width) of the picture within the padded frames.
    """

    frames: EncodedFrames
    image: ImageTokens | None
    size: tuple[int, int]

    @property
    def tensors(self) -> list[Tensor | None]:
        """All that it holds."""
        image = [self.image.hidden, self.image.projected] if self.image else []
        return [*self.frames.taps.values(), self.frames.mean, self.frames.std, *image]


@dataclass
class Kept:
    """Encodings by name, until `limit` bytes are full; what comes later is made anew each time.

    An epoch comes back to everything once, so that what was used last is needed last.
    """

    limit: int
    used: int = 0
    values: dict[tuple[object, ...], "EncodedClip | TextTokens"] = field(default_factory=dict)

    def get(self, name: tuple[object, ...], make: Callable[[], T]) -> T:
        """The value of that name."""
        if name in self.values:
            return self.values[name]  # type: ignore[return-value]
        value = make()
        tensors = value.tensors if isinstance(value, EncodedClip) else [value.hidden]
        size = sum(tensor.nbytes for tensor in tensors if tensor is not None)
        if self.used + size <= self.limit:
            self.values[name] = value
            self.used += size
        return value


@dataclass(frozen=True)
class FrozenModel:
    """The backbone around an adapter that is being trained. Nothing but the adapter has a gradient."""

    config: AdapterTrainingConfig
    backbone: Backbone
    adapter: Adapter
    text_encoder: TextEncoder
    condition: Condition
    level: NoiseLevel
    kept: Kept

    @classmethod
    def load(
        cls, config: AdapterTrainingConfig, pipeline: Pipeline, adapter: Adapter, *, cache_bytes: int
    ) -> "FrozenModel":
        """Loads what the condition and VD-IT's taps need; the text encoder in any case, for the head."""
        condition = Condition(kind=config.condition, form="adapter")
        backbone = Backbone.load(
            pipeline, taps=VDIT_TAPS, conditions=[condition], adapters=[adapter], device=config.model.device
        )
        adapter.requires_grad_(True)  # the backbone freezes all that it is given
        text = backbone.text
        if not isinstance(text, TextEncoder):
            text = TextEncoder.load(pipeline, backbone.dtype, backbone.device)
        level = backbone.process.parse(config.timestep)
        return cls(config, backbone, adapter, text, condition, level, Kept(cache_bytes))

    @torch.no_grad()
    def encode(self, video: Video, frames: tuple[int, ...]) -> EncodedClip:
        """A clip through VAE and, where the condition uses it, CLIP. Raises `DataError` if it cannot be read."""

        def make() -> EncodedClip:
            with FrameReader(video) as reader:
                prepared = prepare_frames(reader.read(frames), self.config.resize)
            pixels = torch.from_numpy(prepared.pixels).to(self.backbone.device)
            encoded = self.backbone.video(pixels, posterior=True)
            image = self.backbone.image(pixels, Clip(video.id, frames)) if self.backbone.image else None
            return EncodedClip(encoded, image, prepared.size)

        return self.kept.get((video.id, frames), make)

    @torch.no_grad()
    def read(self, text: str) -> TextTokens:
        """The tokens of a text."""
        return self.kept.get((text,), lambda: self.text_encoder(text))

    def features(
        self, clip: EncodedClip, video: Video, frames: tuple[int, ...], text: TextTokens, seed: int
    ) -> dict[str, Float[Tensor, "F _ _ _"]]:
        """VD-IT's taps as an extraction with this `seed` computes them, with the adapter as it is now.

        Gradients reach the adapter through the condition and, where it is predicted, the noise.
        """
        config, adapter = self.config, self.adapter
        sampling = LatentSampling(kind=config.latents, seed=seed if config.latents == "sample" else None)
        latents = self.backbone.video.latents(clip.frames, sampling, Clip(video.id, frames))
        condition = make_condition(self.condition, len(frames), text.hidden, clip.image, adapter)
        noise = make_noise(Noise(kind=config.noise, seed=seed), latents, Clip(video.id, frames), adapter)
        out = self.backbone.features(add_noise(latents, noise, self.level), self.level, [condition])
        return {tap: value[0] for tap, value in out.items()} | clip.frames.taps
