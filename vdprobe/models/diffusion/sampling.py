"""From noise to clean latents: deterministic DDIM (Song et al. 2021, eq. 12 with eta 0) under a text.

Follows diffusers' `DDIMScheduler` in everything its configuration can say of timesteps, so that a
pipeline gives the video here that it gives there. Shape letters: P prompts, C channels, F frames,
H W height and width of the latents, L text tokens, D cross-attention width.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vdprobe.errors import ConfigError, ModelError
from vdprobe.models.diffusion.noise import gaussian_clip
from vdprobe.models.diffusion.process import Discrete
from vdprobe.models.diffusion.read_process import read_process
from vdprobe.models.unet3d.network import TappedUNet3D

SPACINGS = ("leading", "trailing", "linspace")


@dataclass(frozen=True)
class DDIMStep:
    """One step of the sampler: the timestep the UNet is told, and abar (`alphas_cumprod`) before and after."""

    t: int
    before: float
    after: float


@dataclass(frozen=True)
class DDIM:
    """How a model is sampled.

    - `prediction`: what the UNet gives: the noise (`epsilon`) or `v_prediction`.
    - `spacing`, `offset`: which training timesteps are visited; see `steps`.
    - `final`: abar after the last step: 1, or that of t = 0 for a model that never saw clean latents.
    """

    schedule: Discrete
    prediction: str = "epsilon"
    spacing: str = "leading"
    offset: int = 0
    final: float = 1.0

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "DDIM":
        """From a diffusers scheduler configuration, whatever class of DDPM's process it names.

        Raises `ModelError` for a process that is not known or not discrete, a spacing or a clipping that is not sampled
        here.
        """
        schedule = read_process(config)
        if not isinstance(schedule, Discrete):
            raise ModelError(
                f"scheduler is of class {config.get('_class_name')}: DDIM samples discrete processes alone"
            )
        prediction = config.get("prediction_type", "epsilon")
        spacing = config.get("timestep_spacing", "leading")
        if spacing not in SPACINGS:
            raise ModelError(f"scheduler has timestep_spacing '{spacing}'; valid: {', '.join(SPACINGS)}")
        for name in ("clip_sample", "thresholding"):
            if config.get(name):
                raise ModelError(
                    f"scheduler has {name} on, which is for pixels: latents have no bounds; set it to false"
                )
        offset = config.get("steps_offset", 0)
        if not isinstance(offset, int) or offset < 0:
            raise ModelError(f"scheduler has steps_offset {offset!r}, which must be a whole number from 0 on")
        final = 1.0 if config.get("set_alpha_to_one", True) else float(schedule.alphas_cumprod[0])
        return cls(schedule, prediction, spacing, offset, final)

    def steps(self, count: int) -> list[DDIMStep]:
        """`count` steps by falling t.

        `leading` starts at the clean end and counts up by T // count, plus `offset`; `trailing` starts
        at the noisy end; `linspace` takes both ends. Raises `ConfigError` for a count that the schedule
        has no room for.
        """
        abar = self.schedule.alphas_cumprod
        size = len(abar)
        if not 1 <= count <= size:
            raise ConfigError(f"steps (={count}) must be from 1 to the model's {size} training timesteps")
        stride = size // count
        if self.spacing == "leading":
            visited = np.arange(count, dtype=np.float64)[::-1] * stride + self.offset
        elif self.spacing == "trailing":
            visited = np.round(size - np.arange(count) * (size / count)) - 1
        else:
            visited = np.round(np.linspace(0, size - 1, count))[::-1]
        first = int(visited[0])
        if first >= size:
            raise ConfigError(
                f"steps (={count}) with the scheduler's steps_offset {self.offset} begin at t={first}, beyond its "
                f"last t={size - 1}; take fewer steps"
            )
        # As in diffusers a step goes down by the stride, also where rounding puts the next t elsewhere.
        return [
            DDIMStep(t, float(abar[t]), float(abar[t - stride]) if t >= stride else self.final)
            for t in map(int, visited)
        ]


def initial_noise(
    prompt: str, seed: int, *, channels: int, frames: int, height: int, width: int
) -> Float[Tensor, "C F H W"]:
    """Where a sample starts: depends on (seed, prompt, frame) alone, whatever is sampled beside it."""
    return gaussian_clip("sample", seed, prompt, range(frames), (channels, height, width))


def sample_latents(
    unet: TappedUNet3D,
    ddim: DDIM,
    noise: Float[Tensor, "P C F H W"],
    text: Float[Tensor, "P L D"],
    empty_text: Float[Tensor, "L D"],
    *,
    steps: int,
    guidance: float,
    on_step: Callable[[], None] | None = None,
) -> Float[Tensor, "P C F H W"]:
    """Clean latents, scaled as the UNet sees them, in float32 on the device of `text`.

    - `unet`: tapped at its output (`unet.out`); it runs in the dtype of `text`, the rest in float32.
    - `noise`: one draw for each prompt, see `initial_noise`.
    - `empty_text`: tokens of the empty text, which `guidance` moves away from (Ho and Salimans 2022):
      1 takes the text alone and runs no second half.
    - `on_step`: called after each step.
    """
    count, frames = len(noise), noise.shape[2]
    texts = text[:, None] if guidance == 1 else torch.stack([empty_text.expand_as(text), text], dim=1)
    tokens = texts.flatten(0, 1)[:, None].expand(-1, frames, -1, -1)
    x = noise.to(text.device, torch.float32)
    for step in ddim.steps(steps):
        out = unet(x.to(text.dtype), torch.tensor(step.t, device=text.device), tokens)["conv_out"]
        halves = out.float().transpose(1, 2).unflatten(0, (count, -1))  # P (empty, text) C F H W
        x = _ddim_step(x, halves[:, 0] + guidance * (halves[:, -1] - halves[:, 0]), step, ddim.prediction)
        if on_step is not None:
            on_step()
    return x


def _ddim_step(
    x: Float[Tensor, "P C F H W"], output: Float[Tensor, "P C F H W"], step: DDIMStep, prediction: str
) -> Float[Tensor, "P C F H W"]:
    signal, amount = step.before**0.5, (1 - step.before) ** 0.5
    if prediction == "epsilon":
        clean, noise = (x - amount * output) / signal, output
    else:
        clean, noise = signal * x - amount * output, signal * output + amount * x
    return step.after**0.5 * clean + (1 - step.after) ** 0.5 * noise
