"""Two distributions in each of several panels: how far apart what should differ is."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from vdprobe.errors import DataError
from vdprobe.figures.style import CAPTION_LINE, COLOURS, CONTROL, LETTERS, add_caption, saved_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLUMNS = ("panel", "series", "left", "right", "share", "count", "control")
NARROW = "\u00a0"
"""A space at which no line breaks."""
PANEL, FRAME = 0.62, 0.85
"""Inches: the height of a panel, and what legend, axis and a line of caption take."""


def draw_distributions(table: "pd.DataFrame", path: Path, *, x_label: str, caption: str, unit: str = "videos") -> None:
    """A panel below the other for each level of `panel`, in it two histograms over the same bins; PDF, PNG and CSV.

    - `table`: a row for each bin of each series: `left` and `right` are its edges, `share` is how much of the
      series lies in it, in [0, 1], and `count` how many of `unit` that is a mean over. The first of the two
      `series` is filled, the second an outline. Panels whose `control` is true are grey.
    - `caption`: what is shown, in sentences. The counts are added to it.

    Raises `DataError` for a table without rows, a missing column, or panels that do not hold two series.
    """
    _check(table)
    first, second = table["series"].unique()
    panels = list(table.groupby("panel", sort=False))
    least, most = table["count"].min(), table["count"].max()
    counts = f"n = {least if least == most else f'{least} to {most}'} {unit}."
    caption = f"{caption} {counts.replace(' ', NARROW)}"
    height = FRAME + PANEL * len(panels) + CAPTION_LINE * (len(textwrap.wrap(caption, LETTERS)) - 1)
    with saved_figure(path, table, height=height) as figure:
        rows = figure.subplots(len(panels), sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, (name, bins) in zip(rows, panels, strict=True):
            grey = bool(bins["control"].all())
            _draw_steps(axes, bins[bins["series"] == first], CONTROL if grey else COLOURS[0], filled=True)
            _draw_steps(axes, bins[bins["series"] == second], "#333333" if grey else COLOURS[1], filled=False)
            axes.set_title(str(name), loc="left", fontsize=7, pad=2)
            axes.set_ylim(0, 1.05 * table["share"].max())
            axes.locator_params(axis="y", nbins=2)
            axes.grid(axis="x")
        axes.set_xlim(table["left"].min(), table["right"].max())
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlabel(x_label)
        figure.supylabel("share of pairs", fontsize=7.5)
        handles = rows[0].get_legend_handles_labels()[0]
        figure.legend(handles, [first, second], loc="outside upper center", ncols=2)
        add_caption(figure, caption)


def _draw_steps(axes: "Axes", bins: "pd.DataFrame", colour: str, *, filled: bool) -> None:
    edges = [*bins["left"], bins["right"].iloc[-1]]
    axes.stairs(
        bins["share"],
        edges,
        fill=filled,
        facecolor=(colour, 0.45) if filled else "none",
        edgecolor="none" if filled else colour,
        linewidth=0 if filled else 1.2,
        label=str(bins["series"].iloc[0]),
    )


def _check(table: "pd.DataFrame") -> None:
    missing = [name for name in COLUMNS if name not in table]
    if missing or table.empty:
        what = f"no column '{missing[0]}'" if missing else "no row"
        raise DataError(f"the table has {what}, nothing to draw; give rows of {', '.join(COLUMNS)}")
    for name, rows in table.groupby("panel", sort=False):
        if rows["series"].nunique() != 2 or table["series"].nunique() != 2:
            found = ", ".join(rows["series"].unique())
            raise DataError(f"panel '{name}' shows {found}; give each panel the same two series")
