"""Noise by inversion: the noise that the model itself would make a clip from.

The probability-flow ODE is followed from clean latents up to a level (DDIM inversion, Song et al. 2021 section 4.3; for
a flow, Euler steps along its velocity), under the empty text and without guidance; a model that is always given a
picture is given it here too. It draws nothing: noise depends on the clip, the model and the number of steps. Shape
letters: C channels, f h w latent frames, height and width.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from vdprobe.models.diffusion.process import Process
from vdprobe.specs.noise_level import CLEAN, NoiseLevel

Prediction = Literal["epsilon", "v_prediction", "flow_prediction"]
"""What a denoiser was trained to give: the noise, v (Salimans and Ho 2022), or the velocity of a flow."""


@dataclass
class Inversion:
    """One clip on its way from clean to noise.

    The path goes through `steps` levels that are the same whatever levels are asked for; a level that lies between two
    of them is one step from the lower one. So a level has the same latents alone and in a grid.

    - `predict`: the denoiser's output of latents at a level.
    """

    predict: Callable[[Tensor, NoiseLevel], Tensor]
    process: Process
    prediction: Prediction
    clean: Float[Tensor, "C f h w"]
    steps: int
    done: list[tuple[NoiseLevel, Float[Tensor, "C f h w"]]] = field(default_factory=list)

    def at(self, level: NoiseLevel) -> Float[Tensor, "C f h w"]:
        """The latents at a level, in float32."""
        if level.amount == 0:
            return self.clean
        if not self.done:
            self.done = [(self.process.parse(CLEAN), self.clean.float())]
        for node in self.process.path(self.steps):
            if self.done[-1][0].s < node.s < level.s:
                self.done.append((node, self._step(*self.done[-1], node)))
        start, latents = next(pair for pair in reversed(self.done) if pair[0].s < level.s)
        return self._step(start, latents, level)

    def _step(
        self, before: NoiseLevel, latents: Float[Tensor, "C f h w"], after: NoiseLevel
    ) -> Float[Tensor, "C f h w"]:
        output = self.predict(latents, before).float()
        data, noise = split_prediction(self.prediction, latents, output, before)
        return after.signal * data + after.amount * noise


def split_prediction(
    prediction: Prediction,
    latents: Float[Tensor, "C f h w"],
    output: Float[Tensor, "C f h w"],
    level: NoiseLevel,
) -> tuple[Float[Tensor, "C f h w"], Float[Tensor, "C f h w"]]:
    """(data, noise) that a denoiser's output means, for latents = signal data + amount noise."""
    if prediction == "epsilon":
        return (latents - level.amount * output) / level.signal, output
    if prediction == "v_prediction":
        return level.signal * latents - level.amount * output, level.signal * output + level.amount * latents
    return latents - level.amount * output, latents + level.signal * output
