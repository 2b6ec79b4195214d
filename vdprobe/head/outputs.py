"""What a head says, and what it should have said.

Shape letters: B clips, F frames of a clip, Q queries, H W height and width of the padded frames. Boxes
are (x, y, width, height) of centre and extent, as shares of the picture.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Segmentation:
    """The answer; Q is 1 where the best query is chosen.

    - `logits`: of the scores. `masks`: logits too, one a pixel.
    - `points`: (x, y) of where the last layer looked from, as shares of the picture.
    """

    logits: Float[Tensor, "B F Q"]
    boxes: Float[Tensor, "B F Q 4"]
    masks: Float[Tensor, "B F Q H W"]
    points: Float[Tensor, "B F Q 2"]


@dataclass(frozen=True)
class Target:
    """The one object of each clip.

    - `boxes`: zeros where it is absent. `masks`: on the padded frames, False there.
    - `visible`: whether a frame shows it.
    """

    boxes: Float[Tensor, "B F 4"]
    masks: Bool[Tensor, "B F H W"]
    visible: Bool[Tensor, "B F"]


@dataclass(frozen=True)
class LayerOutput:
    """What a decoder layer says, with the masks of the query that fits the target best.

    - `query`: which one, for each clip.
    - `coarse_masks`: at stride 2, before the refiner.
    """

    logits: Float[Tensor, "B F Q"]
    boxes: Float[Tensor, "B F Q 4"]
    query: Int[Tensor, " B"]
    masks: Float[Tensor, "B F H W"]
    coarse_masks: Float[Tensor, "B F _ _"]
