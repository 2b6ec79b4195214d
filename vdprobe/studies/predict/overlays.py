"""Masks over the frames they were predicted for, with their text below: to look at, not to score."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_dilation

from vdprobe.data.frames import FrameReader
from vdprobe.data.video import Video
from vdprobe.data.write_video import write_video
from vdprobe.figures.film import draw_sheet
from vdprobe.figures.letters import legible, picture_font

T = TypeVar("T")
COLOUR, SHARE = (255, 0, 170), 0.45
"""Of the tint, and how much of it: a pink that few things in the world have."""
NARROW, WIDE = 480, 960
"""Frames of a film are enlarged by a whole number to be so wide at least; no side of them is longer than the other."""
LETTERS, SMALL_LETTERS, MARGIN = 20, 15, 10
"""Heights of letters, and the space around them, in pixels."""
SHEET_FRAMES, SHEET_HEIGHT = 5, 200
"""Frames of a row of the sheet, and about how high they are."""


@dataclass(frozen=True)
class Overlay:
    """Masks of one text in a video.

    - `name`: such as `dog/0`.
    - `frames`: which are shown, by index; `scores`: of each of them.
    - `mask`: reads the one of a frame.
    """

    name: str
    text: str
    video: Video
    frames: tuple[int, ...]
    scores: tuple[float, ...]
    mask: Callable[[int], Bool[np.ndarray, "H W"]]


def draw_film(overlay: Overlay, path: Path) -> None:
    """An .mp4 of all frames: the mask tinted and outlined, the text below it, the score of the frame in small."""
    write_video(_pages(overlay), path)


def draw_overview(overlays: Sequence[Overlay], path: Path) -> None:
    """A PNG with a row for each overlay: a few of its frames, from the first to the last."""
    rows = []
    for overlay in overlays:
        chosen = spread_evenly(overlay.frames, SHEET_FRAMES)
        numbers = ", ".join(str(frame + 1) for frame in chosen)
        score = sum(overlay.scores) / len(overlay.scores)
        label = f"{overlay.text.strip()} ({overlay.name}, score {score:.2f}, frame{'s' * (len(chosen) > 1)} {numbers})"
        pictures = [_paint(_to_sheet(pixels), _to_sheet(mask)) for pixels, mask in _read(overlay, chosen)]
        rows.append((label, np.stack(pictures)))
    draw_sheet(rows, path)


def spread_evenly(things: Sequence[T], count: int) -> list[T]:
    """At most so many of them, from the first to the last."""
    places = np.linspace(0, len(things) - 1, min(count, len(things)))
    return [things[round(place)] for place in places.tolist()]


def _pages(overlay: Overlay) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    strip = None
    for place, (pixels, mask) in enumerate(_read(overlay, overlay.frames)):
        picture = _paint(_to_film(pixels), _to_film(mask))
        right = max(0, NARROW - picture.shape[1])  # there must be room for words
        picture = np.pad(picture, ((0, 0), (0, right), (0, 0)), constant_values=255)
        strip = strip or _Strip(picture.shape[1], overlay.text)
        number = f"frame {place + 1} of {len(overlay.frames)}"
        yield np.concatenate([picture, strip.draw(number, overlay.scores[place], shown=bool(mask.any()))])


def _read(
    overlay: Overlay, frames: Sequence[int]
) -> Iterator[tuple[UInt8[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"]]]:
    with FrameReader(overlay.video) as reader:
        for frame in frames:
            yield reader.read([frame])[0], overlay.mask(frame)


def _paint(frame: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """The frame with the mask tinted, a white line around it and a black one around that."""
    near, far = (binary_dilation(mask, iterations=steps) for steps in (2, 4))
    out = frame.astype(np.float32)
    out[mask] = (1 - SHARE) * out[mask] + SHARE * np.array(COLOUR, dtype=np.float32)
    out[near & ~mask], out[far & ~near] = 255, 0
    return out.round().astype(np.uint8)


def _to_film(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    most = WIDE / max(height, width)
    return _shrink(pixels, most) if most < 1 else _enlarge(pixels, min(-(-NARROW // width), int(most)))


def _to_sheet(pixels: np.ndarray) -> np.ndarray:
    height = len(pixels)
    return (
        _shrink(pixels, SHEET_HEIGHT / height)
        if height > SHEET_HEIGHT
        else _enlarge(pixels, round(SHEET_HEIGHT / height))
    )


def _enlarge(pixels: np.ndarray, times: int) -> np.ndarray:
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def _shrink(pixels: np.ndarray, share: float) -> np.ndarray:
    height, width = (max(1, round(side * share)) for side in pixels.shape[:2])
    method = Image.Resampling.NEAREST if pixels.dtype == bool else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(pixels).resize((width, height), method))


class _Strip:
    """What is written below a frame; it has one height for a whole film."""

    def __init__(self, width: int, text: str) -> None:
        self.width = width
        self.large, letters = picture_font(LETTERS, [text])
        self.small = ImageFont.load_default(SMALL_LETTERS)
        self.lines = _break(legible(text, letters), self.large, width - 2 * MARGIN)
        self.height = 2 * MARGIN + len(self.lines) * (LETTERS + 6) + SMALL_LETTERS + 6

    def draw(self, number: str, score: float, *, shown: bool) -> UInt8[np.ndarray, "H W 3"]:
        """With the score of a frame, or that its mask is empty."""
        image = Image.new("RGB", (self.width, self.height), "white")
        draw = ImageDraw.Draw(image)
        for place, line in enumerate(self.lines):
            draw.text((MARGIN, MARGIN + place * (LETTERS + 6)), line, fill="black", font=self.large)
        fact = f"{number}, score {score:.2f}" + ("" if shown else ", nothing marked in it")
        draw.text((MARGIN, self.height - MARGIN - SMALL_LETTERS), fact, fill="#555555", font=self.small)
        return np.asarray(image)


def _break(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
