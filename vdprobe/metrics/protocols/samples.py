"""What a protocol scores: truth and prediction of one thing, as plain arrays of one size; scoring checks that."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from vdprobe.errors import DataError


class TruthError(DataError):
    """A sample that a protocol cannot score whatever is predicted, for its truth is not of the kind."""


@dataclass(frozen=True)
class LabelSample:
    """All objects of a video at once: a pixel holds its object's number, 0 for the background.

    - `truth`: 255 is void. Masks of 0 and 255 alone (DAVIS 2016) are to be numbered before, as `read_labels` does.
    - `missing`: names of the frames without a prediction; what `prediction` holds there is not looked at.
    - `part`: which of several sets of predictions it is ('anno_0'), empty where there is only one.
    """

    video: str
    frames: tuple[str, ...]
    truth: UInt8[np.ndarray, "T H W"]
    prediction: UInt8[np.ndarray, "_ _ _"]
    missing: frozenset[str] = frozenset()
    part: str = ""


@dataclass(frozen=True)
class MaskSample:
    """One object of a video, or what one expression means; `missing` as in `LabelSample`."""

    video: str
    expression: str
    object: str
    frames: tuple[str, ...]
    truth: Bool[np.ndarray, "T H W"]
    prediction: Bool[np.ndarray, "_ _ _"]
    missing: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ImageSample:
    """What one text means in one image, and all that was predicted for it; nothing was where Q is 0.

    - `image`: the benchmark's id, one for every text.
    - `scores`: how sure each prediction is, higher is surer.
    - `truth_box`, `boxes`: x, y, width, height in pixels; None where nothing holds them.
    """

    image: str | int
    truth: Bool[np.ndarray, "H W"]
    masks: Bool[np.ndarray, "Q _ _"]
    scores: Float64[np.ndarray, " Q"]
    truth_box: Float64[np.ndarray, "4"] | None = None
    boxes: Float64[np.ndarray, "Q 4"] | None = None
