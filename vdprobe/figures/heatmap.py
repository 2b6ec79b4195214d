"""A value for each two things, as a grid of colours with the numbers in it: which layers are alike."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vdprobe.errors import DataError
from vdprobe.figures.style import LETTERS, WIDTH, add_caption, broken, saved_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLUMNS = ("row", "column", "value")
SIDE, LEAST = 0.32, 0.2
"""Inches of a cell: at most, and at least where the page is made wider for it."""
NUMBERS = 0.22
"""Inches of a cell that has room for a number."""
LETTER, LABEL_LINE, LINE = 0.062, 0.12, 0.12
"""Inches of a letter of a label, of a line of it, and of a line of the caption."""


def draw_heatmap(
    table: "pd.DataFrame",
    path: Path,
    *,
    value: str,
    caption: str,
    limits: tuple[float, float] = (0.0, 1.0),
    row_label: str = "",
    column_label: str = "",
) -> None:
    """A cell for each row and column that the table names; PDF, PNG and CSV.

    - `table`: one row a cell: `row` and `column` are words, shown in their order, `value` a number. What it does
      not name stays empty.
    - `value`: what the numbers are. `limits`: of the colours, dark to bright; beyond them colours no longer change,
      numbers do, and the caption says so.
    - `row_label`, `column_label`: what rows and columns are.

    A page is a column of a paper wide, or as wide as its cells need. Raises `DataError` for a table without rows, a
    missing column, a value that is not finite, or two for one cell.
    """
    _check(table)
    rows, columns = (list(dict.fromkeys(table[name])) for name in ("row", "column"))
    grid = np.full((len(rows), len(columns)), np.nan)
    for row, column, number in table[list(COLUMNS)].itertuples(index=False):
        grid[rows.index(row), columns.index(column)] = number
    left, below = (
        0.1 + LETTER * max(len(line) for name in names for line in broken(name).split("\n"))
        for names in (rows, columns)
    )
    left, below = left + (0.16 if row_label else 0), below + (0.16 if column_label else 0)
    right = 0.6
    lines = max(broken(name).count("\n") + 1 for name in columns)
    side = min(SIDE, max(LEAST, LABEL_LINE * lines, (WIDTH - left - right) / len(columns)))
    width = max(WIDTH, left + right + side * len(columns))
    outside = int((table["value"] < limits[0]).sum() + (table["value"] > limits[1]).sum())
    if outside:
        caption += f" {outside} of {len(table)} values lie beyond the colours' ends."
    lines = len(textwrap.wrap(caption, round(LETTERS * width / WIDTH)))
    height = side * len(rows) + below + LINE * (lines + 1)
    with saved_figure(path, table, height=height, width=width) as figure:
        axes = figure.subplots()
        mesh = axes.pcolormesh(grid, cmap="cividis", vmin=limits[0], vmax=limits[1], edgecolor="white", linewidth=0.4)
        axes.set_xticks(np.arange(len(columns)) + 0.5, map(broken, columns), rotation=90)
        axes.set_yticks(np.arange(len(rows)) + 0.5, map(broken, rows))
        axes.set_ylim(len(rows), 0)  # the first row on top
        axes.set_aspect("equal")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_ylabel(row_label)
        axes.set_xlabel(column_label)
        if side >= NUMBERS:
            _write_numbers(axes, grid, limits)
        bar = figure.colorbar(mesh, ax=axes, fraction=0.06, aspect=18, pad=0.03)
        bar.set_label(value)
        bar.outline.set_visible(False)
        add_caption(figure, caption)


def _write_numbers(axes: "Axes", grid: np.ndarray, limits: Sequence[float]) -> None:
    middle = np.mean(limits)
    for (row, column), number in np.ndenumerate(grid):
        if np.isfinite(number):
            colour = "white" if number < middle else "black"
            text = f"{number:.2f}".replace("0.", ".", 1) if abs(number) < 1 else f"{number:.1f}"
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=5.5, color=colour)


def _check(table: "pd.DataFrame") -> None:
    missing = [name for name in COLUMNS if name not in table]
    if missing or table.empty:
        what = f"no column '{missing[0]}'" if missing else "no row"
        raise DataError(f"the table has {what}, nothing to draw; give rows of {', '.join(COLUMNS)}")
    lost = table[~np.isfinite(table["value"].to_numpy(dtype=np.float64))]
    if len(lost):
        row, column, number = lost.iloc[0][list(COLUMNS)]
        raise DataError(f"'{row}', '{column}': {number} is no number to draw; leave it out by name")
    twice = table[table.duplicated(["row", "column"])]
    if len(twice):
        row, column = twice.iloc[0][["row", "column"]]
        raise DataError(f"the table has two values for '{row}', '{column}'; average them, or split the table")
