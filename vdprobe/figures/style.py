"""One look for all plots of tables: sizes, colours, and the four files that a figure is saved as."""

import re
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vdprobe.errors import DataError
from vdprobe.figures.letters import legible, legible_texts, make_legible

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

WIDTH = 3.3
"""Inches: a column of a two-column paper, so that letters are printed at the size they are set."""
DPI = 300
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito 2008: told apart by the colour-blind too. Their yellow is left out, too pale on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
CONTROL = "#767676"
"""Of controls and floors: what a value must beat."""
LETTERS = 74
"""How many letters of a caption stand in a line of `WIDTH`."""
NAME = 24
"""Letters in a line of a name beside a figure."""
CAPTION_LINE = 0.12
"""Inches: the height of such a line."""

RC: dict[Any, Any] = {
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.title_fontsize": 8,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#E2E2E2",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "pdf.fonttype": 42,  # letters stay text, which journals ask for
    "svg.fonttype": "none",  # and here, which a page can search
    "svg.hashsalt": "vdprobe",  # names within the file are the same every time
}


class SeriesStyle(NamedTuple):
    """How a series is drawn: a colour, and a marker for print without colour."""

    colour: str
    marker: str


def series_styles(names: Iterable[str]) -> dict[str, SeriesStyle]:
    """A style for each name, by order.

    Raises `DataError` for more names than there are colours.
    """
    found = list(dict.fromkeys(names))
    if len(found) > len(COLOURS):
        raise DataError(
            f"{len(found)} series cannot be told apart, {len(COLOURS)} can; split the table into several figures"
        )
    return {name: SeriesStyle(*look) for name, look in zip(found, zip(COLOURS, MARKERS, strict=True), strict=False)}


@contextmanager
def saved_figure(path: Path, table: "pd.DataFrame", *, height: float, width: float = WIDTH) -> Iterator["Figure"]:
    """An empty figure in this look; when the block ends it lies at `path` as PDF, SVG and PNG, its table as CSV.

    - `path`: with or without a suffix of these four.
    - `height`, `width`: in inches.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    stem = path.with_suffix("") if path.suffix in (".pdf", ".svg", ".png", ".csv") else path
    with mpl.rc_context(RC), legible_texts():
        # A figure of its own, not pyplot's: no global state, no display.
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        make_legible(figure)
        # without a date: the same table gives the same bytes
        figure.savefig(f"{stem}.pdf", metadata={"CreationDate": None})
        figure.savefig(f"{stem}.svg", metadata={"Date": None})
        figure.savefig(f"{stem}.png", dpi=DPI)
    table.to_csv(f"{stem}.csv", index=False)


def broken(name: str, letters: int = NAME) -> str:
    """A long name in lines that fit beside a figure, each as long as it can be.

    Broken after commas; where a part is longer than a line also after dots, and as a last resort anywhere.
    """
    lines = [""]
    for part in _parts(legible(name), letters):
        if lines[-1] and len(lines[-1] + part.rstrip()) > letters:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.strip() for line in lines)


def _parts(name: str, letters: int) -> Iterator[str]:
    for long in re.split(r"(?<=, )", name):
        for part in re.split(r"(?<=\.)", long) if len(long.rstrip()) > letters else [long]:
            yield from textwrap.wrap(part, letters, drop_whitespace=False) if len(part) > letters else [part]


def add_caption(figure: "Figure", text: str) -> None:
    """Lines of small letters below a figure: what is drawn, over how many samples."""
    letters = round(LETTERS * figure.get_figwidth() / WIDTH)
    figure.supxlabel(textwrap.fill(text, letters), x=0.01, ha="left", fontsize=6, color="#444444")
