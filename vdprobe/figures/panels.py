"""Curves in panels: a column for each model, a row for each measure, the same axes in a row."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vdprobe.errors import DataError
from vdprobe.figures.style import add_caption, broken, saved_figure, series_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

    from vdprobe.figures.style import SeriesStyle

PANEL_WIDTH, PANEL_HEIGHT = 1.55, 1.25
COLUMNS = ("column", "row", "series", "dashed", "mean", "low", "high")
MOST_COLUMNS = 8
"""Panels side by side that a page has room for."""


def draw_panels(table: pd.DataFrame, path: Path, *, x: str, x_label: str, caption: str) -> None:
    """A line with a 95 % band for each series and kind of line in each panel: PDF and PNG, and the table as CSV.

    - `table`: a row for each point, in `COLUMNS` and `x`: the names of its panel's column and row, the `series`, which
      has a colour, whether its line is `dashed`, and the point.

    Raises `DataError` for no rows, or more columns of panels than a page has room for.
    """
    columns, rows = (list(dict.fromkeys(table[name])) for name in COLUMNS[:2])
    if not rows:
        raise DataError("the table has no rows, so there is nothing to draw; look why nothing was measured")
    if len(columns) > MOST_COLUMNS:
        raise DataError(f"{len(columns)} columns of panels are more than the {MOST_COLUMNS} that a page has room for")
    styles = series_styles(table["series"])
    size = {"height": PANEL_HEIGHT * len(rows) + 0.9, "width": PANEL_WIDTH * max(2, len(columns)) + 0.5}
    with saved_figure(path, table, **size) as figure:
        grid = figure.subplots(len(rows), len(columns), sharex=True, sharey="row", squeeze=False)
        for axes, of_row in zip(grid, rows, strict=True):
            for ax, of_column in zip(axes, columns, strict=True):
                panel = table[(table["row"] == of_row) & (table["column"] == of_column)]
                _draw(ax, panel, x, {name: style.colour for name, style in styles.items()})
            axes[0].set_ylabel(broken(of_row))
        for ax, of_column in zip(grid[0], columns, strict=True):
            ax.set_title(broken(of_column), loc="left", fontsize=7)
        for ax in grid[-1]:
            ax.set_xlabel(x_label)
        handles, labels = _legend(grid[0, 0], styles, bool(table["dashed"].any()))
        figure.legend(handles, labels, loc="outside upper left", ncols=len(labels), handlelength=1.6)
        add_caption(figure, f"{caption} Bands: 95\u00a0% intervals.")


def _draw(ax: "Axes", panel: pd.DataFrame, x: str, colours: dict[str, str]) -> None:
    for (name, dashed), line in panel.groupby(["series", "dashed"], sort=False):
        points = line.sort_values(x)
        places, means = points[x].to_numpy(dtype=np.float64), points["mean"].to_numpy(dtype=np.float64)
        style = "--" if dashed else "-"
        ax.plot(places, means, style, color=colours[str(name)], marker="o", markersize=2.2, linewidth=1)
        low, high = (points[end].to_numpy(dtype=np.float64) for end in ("low", "high"))
        ax.fill_between(places, low, high, color=colours[str(name)], alpha=0.12, linewidth=0)
    ax.grid(axis="y")


def _legend(ax: "Axes", styles: dict[str, "SeriesStyle"], dashed: bool) -> tuple[list["Line2D"], list[str]]:
    lines = [ax.plot([], [], color=style.colour)[0] for style in styles.values()]
    names = list(styles)
    if dashed:
        lines += [ax.plot([], [], style, color="#444444")[0] for style in ("-", "--")]
        names += ["native", "each frame alone"]
    return lines, names
