"""The colours that a model was trained on.

Shape letters: F frames, H W height and width.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Colours:
    """How a model wants its colours: (255 v scale - mean) / std of a value v in [0, 1]."""

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, pixels: Float[Tensor, "F 3 H W"]) -> Float[Tensor, "F 3 H W"]:
        """Of frames in [-1, 1]."""
        mean, std = (pixels.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        return ((pixels + 1) / 2 * (255 * self.scale) - mean) / std
