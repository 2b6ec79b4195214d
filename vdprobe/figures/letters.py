"""Texts in pictures letter for letter: no mathematics, no empty boxes, nothing that cannot be seen."""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.ImageFont import FreeTypeFont, ImageFont

    PictureFont = ImageFont | FreeTypeFont

FIRST = "DejaVu Sans"
"""Comes with matplotlib: the same picture everywhere."""
OTHERS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans SC", "Source Han Sans SC",
    "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "PingFang SC", "Hiragino Sans",
    "Microsoft YaHei", "MS Gothic", "Malgun Gothic", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari",
    "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Thai", "Nirmala UI", "Mangal", "Lohit Devanagari", "FreeSans",
    "Arial Unicode MS", "Noto Emoji", "Symbola", "Unifont",
)  # fmt: skip
"""Fonts for what the first one lacks, taken where they are installed."""
LONGEST = 600
"""Letters of a text in a picture; the middle of a longer one is left out, and says so."""


def legible(text: str, letters: frozenset[int] | None = None) -> str:
    """A text as a picture can show it: what no font has, or nobody can see, is written out, as `\\u4e2d`.

    - `letters`: code points that can be drawn; of all fonts of `font_names` if not given.
    """
    known = _letters() if letters is None else letters
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 4 :]} ({len(text):,} letters)"
    return "".join(
        c if c == "\n" or (c.isprintable() and ord(c) in known) or c == "\u00a0" else _escape(c) for c in text
    )


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


@contextmanager
def legible_texts() -> Iterator[None]:
    """In the block, figures of matplotlib take texts as they are, in every font that there is for them."""
    import matplotlib as mpl

    with mpl.rc_context({"font.family": [*font_names()], "text.parse_math": False}):
        yield


def make_legible(figure: "Figure") -> None:
    """Writes out what no font can show, in all texts of a figure, ticks among them."""
    from matplotlib.text import Text
    from matplotlib.ticker import FixedFormatter, FuncFormatter

    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            formatter = axis.get_major_formatter()
            if isinstance(formatter, FixedFormatter | FuncFormatter):  # names; numbers can all be shown
                axis.set_major_formatter(FuncFormatter(_Legible(formatter)))
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_text(legible(text.get_text()))


class _Legible:
    def __init__(self, formatter: Any) -> None:
        self.formatter = formatter

    def __call__(self, value: Any, place: Any = None) -> str:
        return legible(str(self.formatter(value, place)))


def picture_font(size: int, texts: Iterable[str]) -> "tuple[PictureFont, frozenset[int]]":
    """A font of Pillow for some texts, and the code points it has: that of Pillow, or the first that has more."""
    from PIL import ImageFont

    own = ImageFont.load_default(size)
    wanted = frozenset(ord(letter) for text in texts for letter in text if letter.isprintable())
    if not isinstance(own, ImageFont.FreeTypeFont):
        return own, frozenset(range(32, 127))
    first: tuple[PictureFont, frozenset[int]] = (own, _of_pillow())
    if wanted <= first[1]:
        return first
    files = [_files()[name] for name in font_names()]
    best = max(files, key=lambda file: len(wanted & _of_file(file)))  # the first of the best
    return ImageFont.truetype(best, size), _of_file(best)


@cache
def font_names() -> tuple[str, ...]:
    """The fonts that texts are set in, each for what those before it lack."""
    return FIRST, *(name for name in OTHERS if name in _files())


@cache
def _files() -> dict[str, str]:
    """Font to its file, of those that are installed."""
    from matplotlib import font_manager

    files = {entry.name: entry.fname for entry in font_manager.fontManager.ttflist if Path(entry.fname).is_file()}
    return files | {FIRST: font_manager.findfont(FIRST)}


@cache
def _letters() -> frozenset[int]:
    return frozenset().union(*(_of_file(_files()[name]) for name in font_names()))


@cache
def _of_file(file: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(file).get_charmap())


@cache
def _of_pillow() -> frozenset[int]:
    """The letters of the font that comes with Pillow, of which there are about a hundred."""
    from matplotlib.ft2font import FT2Font
    from PIL import ImageFont

    font = ImageFont.load_default(12)
    assert isinstance(font, ImageFont.FreeTypeFont)
    if not isinstance(font.path, io.BytesIO):
        return _of_file(str(font.path))
    return frozenset(FT2Font(io.BytesIO(font.path.getvalue())).get_charmap())
