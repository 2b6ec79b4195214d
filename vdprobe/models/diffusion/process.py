"""Processes from data to noise: which noise levels a model was trained on, and how to make each of them.

Every level is computed from a formula; the scheduler objects of diffusers are not asked, as several of them add another
amount of noise than their model was trained with until their sampling grid is set.

| process    | noisy latents                                  | timestep      | the network is told  |
|------------|------------------------------------------------|---------------|----------------------|
| `Discrete` | sqrt(abar) x0 + sqrt(1 - abar) n               | t = 0, 1, ... | t                    |
| `Flow`     | (1 - s) x0 + s n                               | 1000 s        | 1000 s, or 1000 (1 - s) |
| `EDM`      | (x0 + sigma n) / sqrt(sigma^2 + 1)             | sigma         | ln(sigma) / 4        |
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vdprobe.errors import ConfigError
from vdprobe.specs.noise_level import CLEAN, EXAMPLES, NoiseLevel, number_of, ratio_of, split_level
from vdprobe.specs.numbers import plain_number, whole_number

CLEAN_STEP = -1
"""The timestep of clean latents in a discrete process: the one before its first."""
TRAINING_STEPS = 1000
"""What published flows multiply s by."""


class Process(ABC):
    """The forward process of a diffusion model."""

    @abstractmethod
    def level(self, timestep: int | float) -> NoiseLevel:
        """The level of a timestep. Raises `ConfigError` for one outside the process."""

    @abstractmethod
    def parse(self, text: str | int | float) -> NoiseLevel:
        """The level that a user writes as `500`, `t=500`, `s=0.2`, `sigma=0.5`, `logsnr=2` or `clean`.

        Raises `ConfigError` for a value outside the process, naming its ends.
        """

    @abstractmethod
    def path(self, steps: int) -> tuple[NoiseLevel, ...]:
        """`steps` levels from the least noise to nearly all, evenly spaced in the process's time."""

    def parse_all(self, texts: Iterable[str | int | float]) -> tuple[NoiseLevel, ...]:
        """Distinct levels, by rising timestep."""
        levels = {level.timestep: level for level in map(self.parse, texts)}
        if not levels:
            raise ConfigError("no timestep is asked for; name at least one, such as 0")
        return tuple(levels[t] for t in sorted(levels))


@dataclass(frozen=True)
class Discrete(Process):
    """DDPM's process: `alphas_cumprod[t]` (abar) for every training timestep; 0 at a zero terminal SNR."""

    alphas_cumprod: Float[np.ndarray, " T"]

    def level(self, timestep: int | float) -> NoiseLevel:
        """The level of training timestep t; -1 is clean, with the network told 0."""
        last = len(self.alphas_cumprod) - 1
        if timestep == CLEAN_STEP:
            return NoiseLevel(timestep=CLEAN_STEP, signal=1.0, amount=0.0, told=0)
        if timestep != int(timestep) or not 0 <= timestep <= last:
            raise ConfigError(f"timestep t={timestep} is outside the schedule; valid: 0..{last}")
        abar = float(self.alphas_cumprod[int(timestep)])
        return NoiseLevel(timestep=int(timestep), signal=abar**0.5, amount=(1 - abar) ** 0.5, told=int(timestep))

    def parse(self, text: str | int | float) -> NoiseLevel:
        """The level itself, or the nearest that the model was trained on."""
        unit, number = split_level(text)
        if unit == CLEAN:
            return self.level(CLEAN_STEP)
        if unit == "t":
            t = whole_number(number)
            if t is None:
                raise ConfigError(f"timestep '{text}' is not a number; write {EXAMPLES}")
            if t < 0:
                raise ConfigError(f"timestep t={t} is outside the schedule; valid: 0..{len(self.alphas_cumprod) - 1}")
            return self.level(t)
        value = number_of(text, number)
        ratio_of(text, unit, value)
        levels = [self.level(t) for t in range(len(self.alphas_cumprod))]
        table = np.array([getattr(level, unit) for level in levels])
        ends = table[np.isfinite(table)]
        low, high = float(ends.min()), float(ends.max())
        # Half a step beyond the ends still has a nearest timestep; more would be clipping.
        slack = 0.5 * float(np.abs(np.diff(ends)).max())
        if not low - slack <= value <= high + slack:
            raise ConfigError(f"timestep '{text}' is outside the schedule; valid {unit}: {low:.4g} .. {high:.4g}")
        return levels[int(np.abs(table - value).argmin())]

    def path(self, steps: int) -> tuple[NoiseLevel, ...]:
        """Evenly spaced t from 0 on."""
        size = len(self.alphas_cumprod)
        return tuple(self.level(t) for t in sorted({i * size // steps for i in range(steps)}))


@dataclass(frozen=True)
class Flow(Process):
    """Rectified flow: straight paths from data to noise. Any s is a level, whatever grid a sampler shifts it to.

    - `inverted`: the network is told 1000 (1 - s), so that 0 is noise and 1000 is clean (Mochi).
    """

    inverted: bool = False

    def level(self, timestep: int | float) -> NoiseLevel:
        """The level of 1000 s, or 1000 (1 - s) where the process is inverted."""
        if not 0 <= timestep <= TRAINING_STEPS:
            raise ConfigError(f"timestep t={timestep} is outside the schedule; valid: 0..{TRAINING_STEPS}")
        s = (TRAINING_STEPS - timestep if self.inverted else timestep) / TRAINING_STEPS
        return NoiseLevel(timestep=timestep, signal=1 - s, amount=s, told=timestep)

    def parse(self, text: str | int | float) -> NoiseLevel:
        """The level; numbers are rounded to a millionth of a timestep, so that they have one name everywhere."""
        unit, number = split_level(text)
        if unit == "t":
            return self.level(_name(number_of(text, number)))
        ratio = 0.0 if unit == CLEAN else ratio_of(text, unit, number_of(text, number))
        s = ratio / (1 + ratio) if math.isfinite(ratio) else 1.0
        return self.level(_name(TRAINING_STEPS * (1 - s if self.inverted else s)))

    def path(self, steps: int) -> tuple[NoiseLevel, ...]:
        """Evenly spaced s, without its ends."""
        return tuple(self.parse(f"s={i / steps:.9f}") for i in range(1, steps))


@dataclass(frozen=True)
class EDM(Process):
    """Karras et al. 2022: noise of deviation sigma, and inputs scaled to unit variance (data variance 1, as SVD's).

    - `low`, `high`: the sigmas that the model was trained between.
    """

    low: float
    high: float

    def level(self, timestep: int | float) -> NoiseLevel:
        """The level of a sigma; at 0 latents are clean and the network is told the lowest."""
        if timestep != 0 and not self.low <= timestep <= self.high:
            raise ConfigError(f"sigma={timestep:g} is outside the schedule; valid: 0, {self.low:g} .. {self.high:g}")
        scale = 1 / math.sqrt(timestep**2 + 1)
        told = 0.25 * math.log(timestep or self.low)
        return NoiseLevel(timestep=timestep, signal=scale, amount=timestep * scale, told=told)

    def parse(self, text: str | int | float) -> NoiseLevel:
        """The level. `t` has no meaning here."""
        unit, number = split_level(text)
        if unit == CLEAN:
            return self.level(0)
        value = number_of(text, number)
        if unit == "t":
            raise ConfigError(f"timestep '{text}': this model has no t but a sigma; write s=0.2, sigma=0.5 or logsnr=2")
        ratio = ratio_of(text, unit, value)
        if not self.low <= ratio <= self.high and ratio != 0:
            ends = [self.level(end) for end in (self.low, self.high)]
            first, second = sorted(getattr(end, unit) for end in ends)
            raise ConfigError(f"timestep '{text}' is outside the schedule; valid {unit}: {first:.4g} .. {second:.4g}")
        return self.level(_name(float(f"{ratio:.9g}")))

    def path(self, steps: int) -> tuple[NoiseLevel, ...]:
        """Evenly spaced s between the ends."""
        low, high = self.level(self.low).s, self.level(self.high).s
        return tuple(self.parse(f"s={low + (high - low) * i / steps:.9f}") for i in range(1, steps))


def _name(value: float) -> int | float:
    """A timestep with one spelling: whole numbers as such, others to six decimals."""
    return plain_number(round(value, 6))
