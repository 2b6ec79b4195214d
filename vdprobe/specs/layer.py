"""`Layer`: what one tap of a model gives, and `TapPlace`: where its maps lie in the frames."""

from dataclasses import dataclass
from math import prod

from vdprobe.specs.spans import Spans, frame_spans

Shape = tuple[int, int, int, int]
"""(map, channel, height, width) of the features of one clip."""


@dataclass(frozen=True)
class TapPlace:
    """Where the maps of a tap lie.

    - `stride`: pixels of the resized frames per place of a map. `spans`: for each map the frames of the clip that it
      stands for.
    """

    stride: int
    spans: Spans


@dataclass(frozen=True)
class Layer:
    """A tap of one clip.

    - `stride`, `spans`: as of a `TapPlace`; `bytes`: in float16.
    - `reached`: share of the UNet's floating point work done when the tap is reached, None for what does not
      depend on the UNet.
    """

    tap: str
    shape: Shape
    stride: int
    spans: Spans
    bytes: int
    reached: float | None

    @classmethod
    def of(
        cls, tap: str, shape: Shape, stride: int, reached: float | None = None, spans: Spans | None = None
    ) -> "Layer":
        """A layer of this shape, with one map a frame unless `spans` say otherwise."""
        return cls(tap, shape, stride, frame_spans(shape[0]) if spans is None else spans, 2 * prod(shape), reached)
