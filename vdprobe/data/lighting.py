"""Graded changes of light on the frames of a video, seeded: how much light does a feature bear?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from vdprobe.specs.draws import draw_digest
from vdprobe.specs.lighting import Lighting

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey (ITU-R BT.601)."""


@dataclass(frozen=True)
class LitFrames:
    """Frames after a change of light.

    - `clipped`: how many values of each frame (of its H x W x 3) would have passed 0 or 255 and were cut to it.
    """

    frames: UInt8[np.ndarray, "F H W 3"]
    clipped: Int64[np.ndarray, " F"]


def apply_lighting(
    frames: UInt8[np.ndarray, "F H W 3"], lighting: Lighting, video: str, frame_indices: Sequence[int]
) -> LitFrames:
    """RGB frames under another light; `frame_indices` are their places in the video, in which indices may repeat."""
    out = frames.copy()
    clipped = np.zeros(len(frames), dtype=np.int64)
    for i, index in zip(range(len(frames)), frame_indices, strict=True):
        chosen, *drawn = _draws(lighting.seed, video, index, 2)
        if chosen < lighting.share:
            values = np.rint(_change(frames[i] / 255, lighting, video, index, 2 * drawn[0] - 1) * 255)
            clipped[i] = np.count_nonzero((values < 0) | (values > 255))
            out[i] = values.clip(0, 255)
    return LitFrames(out, clipped)


def _change(
    values: Float64[np.ndarray, "H W 3"], lighting: Lighting, video: str, index: int, drawn: float
) -> Float64[np.ndarray, "H W 3"]:
    strength = lighting.strength
    amount = strength * drawn
    match lighting.kind:
        case "brightness":
            return values * (1 + amount)
        case "gamma":
            return values ** (3.0**amount)
        case "contrast":
            grey = (values @ LUMA).mean()
            return grey + (values - grey) * (1 + amount)
        case "temperature":
            return values * (1 + amount / 2, 1, 1 - amount / 2)
        case "flicker":
            period, phase = _draws(lighting.seed, video, None, 2)
            return values * (1 + strength * np.cos(2 * np.pi * (phase + index / (2 + 6 * period))))
        case "shadow":
            return values * (1 - strength * _band(values.shape[:2], index, *_draws(lighting.seed, video, None, 3)))


def _band(
    size: tuple[int, ...], index: int, direction: float, place: float, speed: float
) -> Float64[np.ndarray, "H W 1"]:
    """How deep each place of a picture lies in the band, in [0, 1]; a band leaves on one side as the next one enters.

    Half as deep at a fifth of the picture's side away from its middle.
    """
    angle = 2 * np.pi * direction
    y, x = ((np.arange(side) + 0.5) / side for side in size)
    along = x * np.cos(angle) + y[:, None] * np.sin(angle) - place - 0.1 * speed * index
    return np.cos(np.pi * along)[..., None] ** 4


def _draws(seed: int, video: str, frame: int | None, count: int) -> list[float]:
    """Numbers in [0, 1) of a frame, or with None of the video; made of raw bits, which NumPy keeps in every version."""
    digest = draw_digest("lighting", seed, video, "shared" if frame is None else frame)
    key = int.from_bytes(digest[:16], "little")
    return [int(bits >> 11) / 2**53 for bits in np.random.Philox(key=key).random_raw(count).tolist()]
