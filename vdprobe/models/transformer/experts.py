"""Several transformers of one shape, each trained for a range of noise levels."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from vdprobe.models.diffusion.adapter import Adapter
from vdprobe.models.diffusion.tokens import ImageTokens, TextTokens
from vdprobe.models.transformer.denoiser import TransformerDenoiser, condition_tokens, token_spans
from vdprobe.models.transformer.facts import TransformerFacts
from vdprobe.models.transformer.frame_tokens import AdaptedTokens, FrameTokens
from vdprobe.specs.features import Condition
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.spans import Spans


@dataclass
class Experts:
    """The experts of a family: one is read when a level first needs it, and stays.

    - `load`: reads a part.
    """

    family: TransformerFacts
    frame_as_latent: bool
    load: Callable[[str], TransformerDenoiser]
    loaded: dict[str, TransformerDenoiser] = field(default_factory=dict)
    compiled: bool = False

    def condition(
        self,
        condition: Condition,
        frames: int,
        text: TextTokens | None,
        image: ImageTokens | None,
        adapter: Adapter | None,
    ) -> TextTokens | AdaptedTokens:
        """The same for all experts; each projects a text in its own way."""
        return condition_tokens(self.family, self.frame_as_latent, condition, frames, text, image, adapter)

    def __call__(
        self, latents: Float[Tensor, "C f h w"], level: NoiseLevel, conditions: Iterable[TextTokens | FrameTokens]
    ) -> dict[str, Float[Tensor, "E n _ r c"]]:
        """The taps of the expert of this level."""
        return self._at(level)(latents, level, conditions)

    def predict(
        self, latents: Float[Tensor, "C f h w"], level: NoiseLevel, condition: TextTokens
    ) -> Float[Tensor, "C f h w"]:
        """What the expert of this level gives under a text."""
        return self._at(level).predict(latents, level, condition)

    def facts(self, frames: int) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def _at(self, level: NoiseLevel) -> TransformerDenoiser:
        part = self.family.denoiser_at(level)
        if part not in self.loaded:
            with torch.inference_mode(False):
                self.loaded[part] = self.load(part)
            if self.compiled:
                self.loaded[part].compile()
        return self.loaded[part]

    def compile(self) -> None:
        """Compiles each expert when it is read."""
        self.compiled = True

    def spans(self, tap: str, latents: Spans) -> Spans:
        """The frames of the latent frames of each token."""
        return token_spans(self.family, latents)
