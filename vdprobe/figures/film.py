"""Videos as pictures: an animation, and a sheet of frames side by side."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from vdprobe.figures.letters import legible, picture_font

GAP = 4
LABEL_SIZE, LABEL_LETTERS = 13, 26
"""Height of a label's letters in pixels, and how many stand in a line."""
SMALLEST = 96
"""Frames on a sheet are enlarged by a whole number until they are this high."""


def write_gif(frames: UInt8[np.ndarray, "F H W 3"], path: Path, rate: int) -> None:
    """An animation of RGB frames that repeats for ever; `rate` in frames a second."""
    first, *rest = [Image.fromarray(frame) for frame in frames]
    # GIF counts in hundredths of a second.
    first.save(path, "GIF", save_all=True, append_images=rest, duration=10 * round(100 / rate), loop=0)


def draw_sheet(rows: Sequence[tuple[str, UInt8[np.ndarray, "_ _ _ 3"]]], path: Path) -> None:
    """A PNG of (label, RGB frames): one row a video, one column a frame, the pixels as they are.

    Labels are broken into lines; one that is higher than its frames makes its row higher, and the
    column of labels is as wide as the widest of them.
    """
    font, letters = picture_font(LABEL_SIZE, (label for label, _ in rows))
    line_height = sum(font.getmetrics()) + 2 if isinstance(font, ImageFont.FreeTypeFont) else LABEL_SIZE
    labels = [textwrap.wrap(legible(label, letters), LABEL_LETTERS) for label, _ in rows]
    strips = [_strip(frames) for _, frames in rows]
    heights = [max(len(strip), len(lines) * line_height) for strip, lines in zip(strips, labels, strict=True)]
    left = round(max((font.getlength(line) for lines in labels for line in lines), default=0)) + 4 * GAP
    width = left + max(strip.shape[1] for strip in strips) + GAP
    sheet = Image.new("RGB", (width, sum(heights) + GAP * (len(rows) + 1)), "white")
    draw = ImageDraw.Draw(sheet)
    top = GAP
    for lines, strip, height in zip(labels, strips, heights, strict=True):
        start = top + (height - len(lines) * line_height) // 2
        for k, line in enumerate(lines):
            draw.text((2 * GAP, start + k * line_height), line, fill="black", font=font)
        sheet.paste(Image.fromarray(strip), (left, top + (height - len(strip)) // 2))
        top += height + GAP
    sheet.save(path, "PNG")


def _strip(frames: UInt8[np.ndarray, "F _ _ 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    """The frames side by side, with white between them."""
    times = -(-SMALLEST // frames.shape[1])
    large = frames.repeat(times, axis=1).repeat(times, axis=2)
    spaced = np.pad(large, ((0, 0), (0, 0), (0, GAP), (0, 0)), constant_values=255)
    return np.concatenate(list(spaced), axis=1)[:, :-GAP]
