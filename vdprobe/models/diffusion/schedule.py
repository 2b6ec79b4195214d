"""Noise levels: the training schedule, and timesteps named by `t`, `sigma` or `logsnr`.

"The same t" means another amount of noise in another model, so all three are recorded:
sigma = sqrt((1 - abar) / abar) is the noise per unit of signal, logsnr = ln(abar / (1 - abar)),
where abar is `alphas_cumprod` at t.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from vdprobe.errors import ConfigError
from vdprobe.models.diffusion.betas import read_betas
from vdprobe.specs.numbers import finite_number, whole_number

UNITS = ("t", "sigma", "logsnr")


@dataclass(frozen=True)
class NoiseLevel:
    """One timestep in all three units."""

    t: int
    sigma: float
    logsnr: float


@dataclass(frozen=True)
class Schedule:
    """The forward diffusion process of a model: `alphas_cumprod[t]` for every training timestep."""

    alphas_cumprod: Float[np.ndarray, " T"]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Schedule":
        """From a diffusers scheduler configuration. Raises `ModelError` for one of another process, see `betas`."""
        return cls(np.cumprod(1.0 - read_betas(config)))

    def level(self, t: int) -> NoiseLevel:
        """The three names of training timestep `t`."""
        if not 0 <= t < len(self.alphas_cumprod):
            raise ConfigError(f"timestep t={t} is outside the schedule; valid: 0..{len(self.alphas_cumprod) - 1}")
        abar = float(self.alphas_cumprod[t])
        return NoiseLevel(t=t, sigma=((1 - abar) / abar) ** 0.5, logsnr=float(np.log(abar / (1 - abar))))

    def coefficients(self, t: int) -> tuple[float, float]:
        """(signal, noise) = (sqrt(abar), sqrt(1 - abar)): DDPM's add_noise."""
        abar = float(self.alphas_cumprod[t])
        return abar**0.5, (1 - abar) ** 0.5

    def parse(self, text: str | int) -> NoiseLevel:
        """`500`, `t=500`, `sigma=0.5` or `logsnr=-2`: the level itself, or the nearest the model was trained on.

        Raises `ConfigError` for a value outside the schedule, naming its ends.
        """
        unit, sign, number = str(text).partition("=")
        unit, number = (unit.strip(), number) if sign else ("t", unit)
        value = whole_number(number.strip()) if unit == "t" else finite_number(number.strip())
        if value is None:
            raise ConfigError(f"timestep '{text}' is not a number; write 500, sigma=0.5 or logsnr=-2")
        if unit == "t":
            return self.level(int(value))
        if unit not in UNITS:
            raise ConfigError(f"timestep '{text}' has unknown unit '{unit}'; valid: {', '.join(UNITS)}")
        abar = self.alphas_cumprod
        table = np.sqrt((1 - abar) / abar) if unit == "sigma" else np.log(abar / (1 - abar))
        low, high = float(table.min()), float(table.max())
        # Half a step beyond the ends still has a nearest timestep; more would be clipping.
        slack = 0.5 * float(np.abs(np.diff(table)).max())
        if not low - slack <= value <= high + slack:
            raise ConfigError(f"timestep '{text}' is outside the schedule; valid {unit}: {low:.4g} .. {high:.4g}")
        return self.level(int(np.abs(table - value).argmin()))

    def parse_all(self, texts: Iterable[str | int]) -> tuple[NoiseLevel, ...]:
        """Distinct levels, by rising t."""
        levels = {level.t: level for level in map(self.parse, texts)}
        if not levels:
            raise ConfigError("no timestep is asked for; name at least one, such as 0")
        return tuple(levels[t] for t in sorted(levels))
