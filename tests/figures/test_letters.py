"""Texts stand in pictures letter for letter; what no font has is written out, and nothing is a box."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from vdprobe.figures import film, letters
from vdprobe.figures.bars import draw_dots
from vdprobe.figures.curves import draw_curves
from vdprobe.figures.letters import legible, picture_font
from vdprobe.figures.picture_rows import draw_picture_rows
from vdprobe.figures.style import saved_figure

TEXTS = [
    *("$x^2$", "$5 or $6", r"\frac{a}{b", "a_b^c", "$\\nosuch{$", "_hidden", "100 %", "#1", "{a}", "café", "∑ ✓", ""),
    *("a\ttab", "bell\x07", "中文字", "العربية", "हिन्दी", "\U0001f600", "\udc80", "\u200b"),
]


@pytest.fixture
def alone(monkeypatch):
    """As on a machine that has matplotlib's own fonts and no others."""
    _forget()
    monkeypatch.setattr(letters, "OTHERS", ())
    yield
    _forget()


def _forget():
    for found in (letters.font_names, letters._letters, letters._files):
        found.cache_clear()


@pytest.fixture
def written(monkeypatch):
    """The texts of every figure as it is saved."""
    texts = []
    kept = Figure.savefig

    def save(figure, *arguments, **options):
        kept(figure, *arguments, **options)
        texts.extend(text for text in figure.findobj(Text) if text.get_text())

    monkeypatch.setattr(Figure, "savefig", save)
    return texts


def _seen(texts):
    return {text.get_text().replace("\n", "") for text in texts}


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_any_text_is_drawn_and_none_is_mathematics(text, written, tmp_path):
    with saved_figure(tmp_path / "x", pd.DataFrame({"a": [1]}), height=2.0) as figure:
        axes = figure.subplots()
        axes.set_yticks([0, 1], [text, "b"])
        figure.suptitle(text[:100])
    assert not any(one.get_parse_math() for one in written)
    assert legible(text).replace("\n", "") in _seen(written) or not text
    assert legible(text[:100]) in _seen(written) or not text
    known = letters._letters()
    assert all(ord(letter) in known or letter == "\n" for one in written for letter in one.get_text())


@pytest.mark.usefixtures("alone")
def test_what_no_font_has_is_written_out():
    assert legible("a 中 b") == "a \\u4e2d b"
    assert legible("\t\x07\u200b\udc80") == "\\t\\x07\\u200b\\udc80"
    assert legible("é∑ $x$ _^\\") == "é∑ $x$ _^\\"
    assert legible("two\nlines") == "two\nlines"
    assert legible("x" * 5000).endswith("x (5,000 letters)")


def test_a_font_of_the_system_is_taken_for_what_the_first_lacks(monkeypatch):
    _forget()
    monkeypatch.setattr(letters, "FIRST", "STIXGeneral")
    monkeypatch.setattr(letters, "OTHERS", ("Nowhere", "DejaVu Sans"))
    try:
        assert letters.font_names() == ("STIXGeneral", "DejaVu Sans")
        two, one = (letters._of_file(font_manager.findfont(name)) for name in ("DejaVu Sans", "STIXGeneral"))
        letter = next(chr(point) for point in sorted(two - one) if chr(point).isprintable())
        assert legible(letter) == letter
    finally:
        _forget()


NAMES = ["$x^2$ of $", "_hidden", "中文", "a_b"]


@pytest.mark.usefixtures("alone")
def test_names_in_every_kind_of_figure_are_as_they_were_given(written, tmp_path):
    shown = {legible(name) for name in NAMES}
    rows = [{"series": n, "t": t, "mean": 0.5, "low": 0.4, "high": 0.6, "count": 3} for n in NAMES for t in (0, 1)]
    draw_curves(pd.DataFrame(rows), tmp_path / "curves", x="t", x_label="$t$", y_label="$y$", caption="$c$")
    assert shown | {"$t$", "$y$"} <= _seen(written)
    assert any("$c$" in text for text in _seen(written))
    written.clear()
    dots = [
        {"label": n, "group": g, "mean": 0.5, "low": 0.4, "high": 0.6, "count": 3, "control": False}
        for n in NAMES
        for g in NAMES
    ]
    draw_dots(pd.DataFrame(dots), tmp_path / "dots", axis="$a$", title="$title", caption="")
    assert shown | {"$a$", "$title"} <= _seen(written)
    written.clear()
    frames = np.zeros((2, 32, 32, 3), np.uint8)
    draw_picture_rows(frames, {name: np.zeros((2, 4, 4, 3)) for name in NAMES}, tmp_path / "rows", "$title")
    assert shown | {"$title"} <= _seen(written)
    assert not any(text.get_parse_math() for text in written)


@pytest.mark.usefixtures("alone")
def test_sheets_of_frames_show_letters_that_pillow_has_none_of(tmp_path):
    font, known = picture_font(13, ["café"])
    assert font_manager.findfont("DejaVu Sans") == font.path
    assert ord("é") in known
    assert picture_font(13, ["cafe"])[0].path != font.path
    rows = [(text, np.zeros((1, 96, 96, 3), np.uint8)) for text in ("café 中", "$x$", "\U0001f600\t", "")]
    film.draw_sheet(rows, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size[1] > 4 * 96


@pytest.mark.usefixtures("alone")
def test_a_name_as_long_as_a_page_leaves_room_for_the_rest(written, tmp_path):
    rows = [{"series": "x" * 10**6, "t": t, "mean": 0.5, "low": 0.4, "high": 0.6, "count": 3} for t in (0, 1)]
    draw_curves(pd.DataFrame(rows), tmp_path / "curves", x="t", x_label="t", y_label="y", caption="")
    assert any(text.endswith("(1,000,000 letters)") for text in _seen(written))
