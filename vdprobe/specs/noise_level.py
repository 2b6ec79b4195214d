"""`NoiseLevel`: how much noise there is, in every unit in use; and how a user writes one.

The same t is not the same noise in another model, so all units are recorded. With `signal` x0 + `amount` n:

| unit     | meaning                                              | from r = amount / signal |
|----------|------------------------------------------------------|--------------------------|
| `sigma`  | noise per unit of signal                             | r                        |
| `logsnr` | ln of signal squared over amount squared             | -2 ln r                  |
| `s`      | where a straight path from data to noise has this r  | r / (1 + r)              |
| `t`      | the model's own time                                 | differs by model         |
"""

import math
from dataclasses import dataclass

from vdprobe.errors import ConfigError
from vdprobe.specs.numbers import finite_number

CLEAN = "clean"
"""No noise, and a network that is told the least of it that it knows: the limit of every process."""
UNITS = ("t", "s", "sigma", "logsnr")
EXAMPLES = f"500, s=0.2, sigma=0.5, logsnr=2 or {CLEAN}"


@dataclass(frozen=True)
class NoiseLevel:
    """One noise level of one model.

    - `timestep`: its name in specs and stores: t of a discrete process (-1 where it is clean), 1000 s of a flow, sigma
      of EDM.
    - `signal`, `amount`: what latents and noise are multiplied by.
    - `told`: the time that the network is given.
    """

    timestep: int | float
    signal: float
    amount: float
    told: float

    @property
    def sigma(self) -> float:
        """Noise per unit of signal; infinite for noise alone."""
        return self.amount / self.signal if self.signal else math.inf

    @property
    def logsnr(self) -> float:
        """The logarithm of the signal-to-noise ratio; infinite for clean latents and, below 0, for noise alone."""
        if self.amount == 0 or self.signal == 0:
            return math.inf if self.amount == 0 else -math.inf
        return 2 * (math.log(self.signal) - math.log(self.amount))

    @property
    def s(self) -> float:
        """The place on a straight path from data (0) to noise (1) that has this sigma."""
        return self.amount / (self.signal + self.amount)

    @property
    def units(self) -> dict[str, float | None]:
        """`s`, `sigma` and `logsnr` for JSON, which knows no infinity: None."""
        values = {"s": self.s, "sigma": self.sigma, "logsnr": self.logsnr}
        return {name: value if math.isfinite(value) else None for name, value in values.items()}

    @property
    def label(self) -> str:
        """For people: `t=500  s=0.62  sigma=1.62  logsnr=-0.966`."""
        t = CLEAN if self.amount == 0 else f"t={self.timestep:g}"
        return f"{t}  s={self.s:.4g}  sigma={self.sigma:.4g}  logsnr={self.logsnr:.4g}"


def split_level(text: str | int | float) -> tuple[str, str]:
    """(unit, number) of `500` (a t), `t=500`, `s=0.2`, `sigma=0.5`, `logsnr=-2`; (`clean`, "") of `clean`.

    Raises `ConfigError` for another unit.
    """
    first, sign, number = str(text).partition("=")
    first = first.strip()
    if not sign:
        return (CLEAN, "") if first == CLEAN else ("t", first)
    if first not in UNITS:
        raise ConfigError(f"timestep '{text}' has unknown unit '{first}'; valid: {', '.join(UNITS)}")
    return first, number.strip()


def number_of(text: str | int | float, number: str) -> float:
    """The number that a user wrote in `text`. Raises `ConfigError` for anything else."""
    value = finite_number(number)
    if value is None:
        raise ConfigError(f"timestep '{text}' is not a number; write {EXAMPLES}")
    return value


def ratio_of(text: str | int | float, unit: str, value: float) -> float:
    """Noise per unit of signal of a value in `s`, `sigma` or `logsnr`; infinite for s = 1.

    Raises `ConfigError` for a value that no noise level has.
    """
    if unit == "logsnr":
        if abs(value) > 1000:
            raise ConfigError(f"timestep '{text}' is outside of any schedule; logsnr is rarely beyond -20 .. 20")
        return math.exp(-value / 2)
    if unit == "s":
        if not 0 <= value <= 1:
            raise ConfigError(f"timestep '{text}' is outside the schedule; valid s: 0 (clean) .. 1 (noise alone)")
        return value / (1 - value) if value < 1 else math.inf
    if value < 0:
        raise ConfigError(f"timestep '{text}' is outside the schedule; sigma is at least 0")
    return value
