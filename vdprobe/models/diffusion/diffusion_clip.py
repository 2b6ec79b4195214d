"""A loaded pipeline at work on a clip: everything that its grid cells share is done once.

Shape letters: E expressions, F frames, C channels, H W height and width, M condition tokens, D cross-attention width.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vdprobe.data.resize import PreparedFrames
from vdprobe.models.diffusion.adapter import Adapter
from vdprobe.models.diffusion.adapter_set import open_adapters
from vdprobe.models.diffusion.backbone import Backbone, load_backbone
from vdprobe.models.diffusion.family import Family, spec_settings
from vdprobe.models.diffusion.forms import Cell
from vdprobe.models.diffusion.inversion import Inversion
from vdprobe.models.diffusion.noise import add_noise, make_noise
from vdprobe.models.diffusion.tokens import ImageTokens, TextTokens
from vdprobe.models.model import Note
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import Condition, FeatureSpec, Item, Noise, Timestep
from vdprobe.specs.layer import Shape, TapPlace
from vdprobe.specs.noise_level import NoiseLevel


@dataclass
class LoadedDiffusion:
    """A backbone with its adapters, and the tokens of the texts of one video at a time."""

    family: Family
    backbone: Backbone
    adapters: Mapping[Cell, Adapter]
    texts: dict[str, TextTokens] = field(default_factory=dict)
    video: str | None = None

    @classmethod
    def load(
        cls, family: Family, adapter: str | None, specs: Sequence[FeatureSpec], device: str, *, compiled: bool
    ) -> "LoadedDiffusion":
        """What `specs` need, and no more."""
        inverted = any(_inverted(spec) for spec in specs)
        cells = [(spec.condition.kind, spec.noise.kind) for spec in specs if spec.condition and spec.noise]
        adapters = open_adapters(adapter, family, cells) if cells else {}
        backbone = load_backbone(
            family,
            taps=tuple(dict.fromkeys(tap for spec in specs for tap in spec.taps)),
            conditions=(
                *dict.fromkeys(spec.condition for spec in specs if spec.condition),
                *([family.unguided] * inverted),
            ),
            adapters=tuple({id(one): one for one in adapters.values()}.values()),
            dtype=specs[0].compute_dtype,
            device=device,
            settings=spec_settings(specs),
            whole=inverted,
        )
        if compiled and backbone.denoiser is not None:
            backbone.denoiser.compile()
        return cls(family, backbone, adapters)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.backbone.device

    def encode(self, clip: Clip, prepared: PreparedFrames, specs: Iterable[FeatureSpec]) -> "DiffusionClip":
        """VAE and image tokens, as far as `specs` need them."""
        if self.video != clip.video:
            self.texts.clear()  # the texts of a whole dataset would fill a device's memory
            self.video = clip.video
        backbone = self.backbone
        pixels = torch.from_numpy(prepared.pixels).to(backbone.device)
        grid = [spec for spec in specs if spec.condition is not None]
        sampling = next((spec.latents for spec in grid), None)
        encoded = backbone.video(pixels, posterior=sampling is not None)
        seen = [self.family.unguided if _inverted(spec) else None for spec in grid] + [spec.condition for spec in grid]
        uses_image = any(condition.uses_image for condition in seen if condition is not None)
        return DiffusionClip(
            model=self,
            clip=clip,
            height=prepared.pixels.shape[2],
            vae_taps=encoded.taps,
            latents=backbone.video.latents(encoded, sampling, self.latent_clip(clip)) if sampling else None,
            image=backbone.image(pixels, clip) if backbone.image and uses_image else None,
        )

    def latent_clip(self, clip: Clip) -> Clip:
        """The clip with the first frame of each latent frame, which draws belong to."""
        return Clip(clip.video, tuple(clip.frames[start] for start, _ in self.backbone.video.spans(len(clip.frames))))

    def text(self, text: str) -> TextTokens:
        """The tokens of a text of the video."""
        assert self.backbone.text is not None
        if text not in self.texts:
            self.texts[text] = self.backbone.text(text)
        return self.texts[text]

    def adapter(self, spec: FeatureSpec) -> Adapter | None:
        """What the cell of a spec goes through."""
        assert spec.condition is not None and spec.noise is not None
        return self.adapters.get((spec.condition.kind, spec.noise.kind))


def _inverted(spec: FeatureSpec) -> bool:
    return spec.noise is not None and spec.noise.kind == "inverted"


@dataclass
class DiffusionClip:
    """What a clip's grid cells have in common; `tokens` and `noises` fill up as cells ask for them.

    - `height`: of the padded frames, in pixels.
    """

    model: LoadedDiffusion
    clip: Clip
    height: int
    vae_taps: dict[str, Float[Tensor, "F _ _ _"]]
    latents: Float[Tensor, "C F H W"] | None
    image: ImageTokens | None
    tokens: dict[tuple[Condition, str | None], Any] = field(default_factory=dict)
    inversions: dict[Noise, Inversion] = field(default_factory=dict)
    noises: dict[Noise, Float[Tensor, "C F H W"] | None] = field(default_factory=dict)

    def features(
        self, spec: FeatureSpec, items: Sequence[Item], timestep: Timestep | None
    ) -> Mapping[str, Float[Tensor, "E F _ _ _"]]:
        """The VAE's taps, or those of one forward of the UNet for all items."""
        if spec.condition is None:
            return {tap: self.vae_taps[tap][None] for tap in spec.taps}
        assert self.latents is not None and timestep is not None
        backbone = self.model.backbone
        level = backbone.process.level(timestep)
        latents = self._noisy(spec, level)
        out = backbone.features(latents, level, [self._condition(spec, item) for item in items])
        return {tap: out[tap] for tap in spec.taps}

    def place(self, tap: str, shape: Shape) -> TapPlace:
        """Odd sizes are halved upwards, so that the quotient of sides is rounded."""
        spans = self.model.backbone.video.spans(len(self.clip.frames))
        if (denoiser := self.model.backbone.denoiser) is not None and not tap.startswith("vae."):
            spans = denoiser.spans(tap, spans)
        return TapPlace(round(self.height / shape[2]), spans)

    def attrs(self, spec: FeatureSpec, item: Item) -> dict[str, Any]:
        """The timesteps in other units, and how long a text was that had to be cut."""
        attrs: dict[str, Any] = {}
        if spec.timesteps:
            levels = [self.model.backbone.process.level(t) for t in spec.timesteps]
            for unit in ("s", "sigma", "logsnr"):
                attrs[unit] = [level.units[unit] for level in levels]
        if item.text is not None and self.model.text(item.text).truncated:
            attrs["text_tokens_before_cut"] = self.model.text(item.text).count
        return attrs

    def notes(self, spec: FeatureSpec, item: Item) -> tuple[Note, ...]:
        """What clips of so many frames go through, and that a text was cut."""
        backbone, frames = self.model.backbone, len(self.clip.frames)
        denoiser = backbone.denoiser if spec.condition is not None else None
        facts = (*backbone.video.facts(frames), *(denoiser.facts(frames) if denoiser else ()))
        notes = [Note(fact, self.clip.name) for fact in facts]
        if item.text is not None:
            tokens = self.model.text(item.text)
            cut = f"text of {tokens.count} tokens cut to {len(tokens.hidden)}, its end is not seen"
            facts = (*((cut,) if tokens.truncated else ()), *tokens.facts)
            notes += [Note(f"{fact}: '{item.text[:60]}...'", self.clip.video) for fact in facts]
        return tuple(notes)

    def _condition(self, spec: FeatureSpec, item: Item) -> Any:
        """Made once for all noises and timesteps."""
        assert spec.condition is not None
        key = (spec.condition, item.text)
        if key not in self.tokens:
            denoiser = self.model.backbone.denoiser
            assert denoiser is not None
            text = None if item.text is None else self.model.text(item.text)
            adapter = self.model.adapter(spec)
            self.tokens[key] = denoiser.condition(spec.condition, len(self.clip.frames), text, self.image, adapter)
        return self.tokens[key]

    def _noisy(self, spec: FeatureSpec, level: NoiseLevel) -> Float[Tensor, "C f h w"]:
        """The latents at a level under the noise of a spec."""
        assert self.latents is not None and spec.noise is not None
        if spec.noise.kind != "inverted":
            return add_noise(self.latents, self._noise(spec), level)
        if spec.noise not in self.inversions:
            backbone = self.model.backbone
            assert backbone.denoiser is not None and spec.noise.steps is not None
            unguided = self.model.family.unguided
            text = self.model.text("") if unguided.uses_text else None
            seen = backbone.denoiser.condition(unguided, len(self.clip.frames), text, self.image, None)
            self.inversions[spec.noise] = Inversion(
                partial(backbone.predict, condition=seen),
                backbone.process,
                self.model.family.prediction,
                self.latents,
                spec.noise.steps,
            )
        return self.inversions[spec.noise].at(level)

    def _noise(self, spec: FeatureSpec) -> Float[Tensor, "C F H W"] | None:
        """Made once for all conditions and timesteps that share it."""
        assert self.latents is not None and spec.noise is not None
        if spec.noise not in self.noises:
            clip = self.model.latent_clip(self.clip)
            self.noises[spec.noise] = make_noise(spec.noise, self.latents, clip, self.model.adapter(spec))
        return self.noises[spec.noise]
