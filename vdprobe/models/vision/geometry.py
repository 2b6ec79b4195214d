"""Where the feature maps of a vision model lie on the frames, and which sizes of frames it takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd, lcm

import torch

from vdprobe.errors import ModelError
from vdprobe.models.vision.vision_network import META, VisionNetwork

SIDE = 224
"""A multiple of every common stride: frames of this height show what a model's strides are."""


@dataclass(frozen=True)
class Fitted:
    """How frames are brought to a model.

    - `height`, `width`: after padding to the right and the bottom.
    - `strides`: for each tap, pixels per place before any scaling.
    """

    height: int
    width: int
    strides: Mapping[str, int]


@dataclass(frozen=True)
class Geometry:
    """The layers of a model whose hidden states are maps.

    - `channels`, `strides`: by tap, in order; strides in pixels of what the model sees.
    - `side`: of the square frames that it takes alone, None where it takes any.
    """

    channels: Mapping[str, int]
    strides: Mapping[str, int]
    side: int | None

    def fit(self, height: int, width: int) -> Fitted:
        """Padding to the coarsest map's places; for a model of one size, to a square that is then scaled to it."""
        coarsest = lcm(*self.strides.values())
        if self.side is None:
            height, width = (-(-side // coarsest) * coarsest for side in (height, width))
            return Fitted(height, width, self.strides)
        finest = gcd(*self.strides.values())
        places = self.side // finest
        scaled = -(-max(height, width) // places)  # pixels per place of the finest map, a whole number
        square = places * scaled
        return Fitted(square, square, {tap: stride // finest * scaled for tap, stride in self.strides.items()})


def measure_geometry(network: VisionNetwork, name: str) -> Geometry:
    """From a forward on the meta device. Raises `ModelError` for a model without maps of a frame."""
    config = network.model.config
    if network.model.main_input_name != "pixel_values":
        raise ModelError(f"model '{name}' ({config.model_type}) takes no pictures; give a vision model")
    height = lcm(SIDE, network.patch or 1)
    width, only = 2 * height, None
    shapes = _shapes(network, height, width)
    if shapes is None and isinstance(only := getattr(config, "image_size", None), int):
        height = width = only
        shapes = _shapes(network, height, width)
    if shapes is None:
        raise ModelError(f"model '{name}' ({config.model_type}) takes neither frames of any size nor of one square")
    strides = {i: _stride(shape, height, width) for i, shape in enumerate(shapes)}
    maps = {i: stride for i, stride in strides.items() if stride is not None}
    if not maps:
        raise ModelError(
            f"model '{name}' ({config.model_type}) gives no feature map: none of its {len(shapes)} hidden states has a "
            "place for each patch of a frame"
        )
    return Geometry(
        channels={f"vision.layer.{i}": shapes[i][1] for i in maps},
        strides={f"vision.layer.{i}": stride for i, stride in maps.items()},
        side=only,
    )


def _shapes(network: VisionNetwork, height: int, width: int) -> list[tuple[int, ...]] | None:
    """The shape of each hidden state's map, () for one that is none; None for a size of frames that is refused."""
    try:
        maps = network(torch.empty(1, 3, height, width, device=META))
    except Exception:  # each model refuses in its own way
        return None
    return [() if value is None else tuple(value.shape) for value in maps]


def _stride(shape: tuple[int, ...], height: int, width: int) -> int | None:
    """Pixels per place; None where places are no squares of whole pixels, as in maps with the channels last."""
    if not shape:
        return None
    _, _, rows, columns = shape
    stride = height // rows
    return stride if (rows * stride, columns * stride) == (height, width) else None
