"""Where a clip looks like one point of its first frame, to a layer's features."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from vdprobe.figures.picture_rows import draw_picture_rows


def point_similarity(features: Float[np.ndarray, "F C H W"], point: tuple[float, float]) -> Float[np.ndarray, "F H W"]:
    """Cosine of every place of every frame with the place of the first frame that `point` falls into.

    - `point`: (x, y) as shares of width and height, in [0, 1).

    The clip's mean feature is taken away first: what all places share would make every cosine high.
    """
    height, width = features.shape[2:]
    centred = features.astype(np.float64)
    centred -= centred.mean(axis=(0, 2, 3), keepdims=True)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    query = centred[0, :, int(point[1] * height), int(point[0] * width)]
    return np.einsum("fchw,c->fhw", centred, query)


def draw_similarity(
    frames: UInt8[np.ndarray, "F H W 3"],
    rows: Mapping[str, Float[np.ndarray, "F _ _ _"]],
    point: tuple[float, float],
    path: Path,
    title: str,
) -> None:
    """One row of frames with the point marked, one row of heat for each entry of `rows` (label to features).

    - `point`: (x, y) as shares of width and height. Dark is a cosine of 0 or less, bright is 1. PNG and PDF.
    """
    from matplotlib import colormaps

    heat = {
        label: colormaps["inferno"](np.clip(point_similarity(value, point), 0, 1))[..., :3]
        for label, value in rows.items()
    }
    height, width = frames.shape[1:3]
    draw_picture_rows(frames, heat, path, title, point=(point[0] * width, point[1] * height))
