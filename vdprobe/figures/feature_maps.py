"""Feature maps as colours: the first three principal components, over all frames at once."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from vdprobe.figures.picture_rows import draw_picture_rows


def pca_colours(features: Float[np.ndarray, "F C H W"]) -> Float[np.ndarray, "F H W 3"]:
    """The first three components in [0, 1], fitted to all frames together.

    One basis for all frames: a colour that stays is a feature that stays. (The official
    visualisation fits each frame alone, so its colours may flip from frame to frame.)
    """
    frames, channels, height, width = features.shape
    flat = features.transpose(0, 2, 3, 1).reshape(-1, channels).astype(np.float64)
    flat -= flat.mean(axis=0)
    _, _, basis = np.linalg.svd(flat, full_matrices=False)
    top = np.zeros((len(flat), 3))
    projected = flat @ basis[:3].T
    top[:, : projected.shape[1]] = projected
    low, high = np.percentile(top, [1, 99], axis=0)
    return np.clip((top - low) / np.maximum(high - low, 1e-12), 0, 1).reshape(frames, height, width, 3)


def draw_feature_maps(
    frames: UInt8[np.ndarray, "F H W 3"], rows: Mapping[str, Float[np.ndarray, "F _ _ _"]], path: Path, title: str
) -> None:
    """One row of frames, one row of colours for each entry of `rows` (label to features); PNG and PDF."""
    draw_picture_rows(frames, {label: pca_colours(value) for label, value in rows.items()}, path, title)
