"""`Layer`: what one tap of a model gives."""

from dataclasses import dataclass
from math import prod

Shape = tuple[int, int, int, int]
"""(frame, channel, height, width) of the features of one clip."""


@dataclass(frozen=True)
class Layer:
    """A tap of one clip.

    - `stride`: pixels per place; `bytes`: in float16.
    - `reached`: share of the UNet's floating point work done when the tap is reached, None for what does not
      depend on the UNet.
    """

    tap: str
    shape: Shape
    stride: int
    bytes: int
    reached: float | None

    @classmethod
    def of(cls, tap: str, shape: Shape, stride: int, reached: float | None = None) -> "Layer":
        """A layer of this shape."""
        return cls(tap, shape, stride, 2 * prod(shape), reached)
