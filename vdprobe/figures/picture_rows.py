"""Rows of pictures, a frame a column: what feature maps and heat maps are shown as."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from vdprobe.figures.letters import legible_texts, make_legible

TITLE = 0.4
"""Inches above the frames."""


def draw_picture_rows(
    frames: UInt8[np.ndarray, "F H W 3"],
    rows: Mapping[str, Float[np.ndarray, "F _ _ _"]],
    path: Path,
    title: str,
    *,
    point: tuple[float, float] | None = None,
) -> None:
    """The frames, and below them the pictures (F h w 3, in [0, 1]) of each row, stretched to the frame; PNG and PDF.

    - `point`: (x, y) in pixels, marked in the first frame and in the rows' first pictures.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count, height, width = frames.shape[:3]
    with legible_texts():
        # A figure of its own, not pyplot's: no global state, no display.
        inches = (1.8 * height / width + 0.12) * (len(rows) + 1) + TITLE
        figure = Figure(figsize=(1.8 * count + 1.6, inches), layout="compressed")  # which keeps pictures side by side
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(rows) + 1, count, squeeze=False)
        for line, (label, images) in zip(axes, [("frames", frames), *rows.items()], strict=True):
            line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
            for axis, image in zip(line, images, strict=True):
                axis.imshow(image, interpolation="nearest", extent=(0, width, height, 0))
                axis.set_xticks([])
                axis.set_yticks([])
            if point is not None:
                line[0].plot(*point, marker="+", markersize=11, markeredgewidth=2.2, color="white")
                line[0].plot(*point, marker="+", markersize=9, markeredgewidth=1.0, color="black")
        figure.suptitle(title, fontsize=9)
        make_legible(figure)
        for suffix in (".png", ".pdf"):
            figure.savefig(path.with_suffix(suffix), dpi=120)
