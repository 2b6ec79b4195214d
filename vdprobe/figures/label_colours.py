"""Numbers of places as colours: clusters alone, objects over the frames they lie in."""

import numpy as np
from jaxtyping import Float, Integer, UInt8

from vdprobe.figures.style import COLOURS

TINT = 0.6
"""How much of an object's pixel is its colour."""


def label_colours(labels: Integer[np.ndarray, "F H W"]) -> Float[np.ndarray, "F H W 3"]:
    """A colour for each number from 0 on, in [0, 1]; they begin again where there are more than colours."""
    colours = np.array([[int(name[i : i + 2], 16) for i in (1, 3, 5)] for name in COLOURS]) / 255
    return colours[labels % len(colours)]


def tinted(frames: UInt8[np.ndarray, "F H W 3"], labels: Integer[np.ndarray, "F H W"]) -> Float[np.ndarray, "F H W 3"]:
    """The frames in grey, with the colour of its number over each object; 0 is the background."""
    grey = np.repeat(frames.mean(axis=3, keepdims=True) / 255, 3, axis=3)
    objects = (labels > 0)[..., None]
    return np.where(objects, TINT * label_colours(np.maximum(labels, 1) - 1) + (1 - TINT) * grey, grey)
