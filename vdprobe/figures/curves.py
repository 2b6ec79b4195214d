"""Curves with their uncertainty: one value against a frame gap, a timestep or a layer's depth.

Each line is named where it ends: no reader looks colours up in a legend.
"""

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vdprobe.errors import DataError
from vdprobe.figures.style import (
    CAPTION_LINE,
    CONTROL,
    LETTERS,
    SeriesStyle,
    add_caption,
    broken,
    saved_figure,
    series_styles,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("series", "mean", "low", "high", "count")
HEIGHT, LABEL_LINE = 2.1, 0.13
"""Inches: of the figure but for its caption, and of a line of a label."""
LABEL_LETTERS, AXIS_LETTERS = 19, 26


def draw_curves(
    table: pd.DataFrame, path: Path, *, x: str, x_label: str, y_label: str, caption: str, unit: str = "videos"
) -> None:
    """A line with a 95 % band for each series of a table: PDF and PNG, and the table beside them as CSV.

    - `table`: a row for each point, in columns `series`, the one named by `x`, `mean`, `low`, `high` (the ends
      of the interval) and `count` (of `unit` that the mean is over). Lines take the order of their first rows.
      Where there is a column `control`, lines for which it is true are dashed and grey.
    - `caption`: what is shown, in sentences. What the bands are and the counts are added to it.

    Raises `DataError` when there are no rows, a column is missing, a value is not finite, a point comes twice,
    or there are more series than can be told apart.
    """
    _check(table, x)
    styles = _styles(table)
    dashed = " Dashed: controls." if any(style.colour == CONTROL for style in styles.values()) else ""
    caption = f"{caption}{dashed} Bands: 95\u00a0% intervals. {_counts(table, styles, unit)}"
    labels = [broken(name, LABEL_LETTERS) for name in styles]
    height = max(HEIGHT, LABEL_LINE * sum(label.count("\n") + 1 for label in labels) + 0.6)
    height += CAPTION_LINE * len(textwrap.wrap(caption, LETTERS))
    with saved_figure(path, table, height=height) as figure:
        axes = figure.subplots()
        ends = [_draw_line(axes, table[table["series"] == name], x, style) for name, style in styles.items()]
        axes.set_xlabel(x_label)
        axes.set_ylabel(textwrap.fill(y_label, AXIS_LETTERS))
        axes.set_xticks(_ticks(axes, table[x].to_numpy(dtype=np.float64)))
        axes.grid(axis="y")
        add_caption(figure, caption)
        _label_ends(figure, axes, labels, ends, [style.colour for style in styles.values()])


def _styles(table: pd.DataFrame) -> dict[str, SeriesStyle]:
    """A colour for each line, but grey for controls; in the order of the table."""
    if "control" not in table:
        return series_styles(table["series"])
    controls = table.loc[table["control"].astype(bool), "series"]
    found = series_styles(table.loc[~table["control"].astype(bool), "series"])
    found |= {name: SeriesStyle(CONTROL, look.marker) for name, look in series_styles(controls).items()}
    return {name: found[name] for name in dict.fromkeys(table["series"])}


def _check(table: pd.DataFrame, x: str) -> None:
    needed = ("series", x, *COLUMNS[1:])
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise DataError(f"the table has no column '{missing[0]}'; it needs {', '.join(needed)}")
    if not len(table):
        raise DataError("the table has no rows, so there is nothing to draw; look why nothing was measured")
    lost = int((~np.isfinite(table[list(needed[1:])].to_numpy(dtype=np.float64))).any(axis=1).sum())
    if lost:
        raise DataError(f"{lost} of {len(table)} rows have a value that is not finite; leave them out by name")
    twice = table[table.duplicated(["series", x])]
    if len(twice):
        series, value = twice[["series", x]].iloc[0]
        raise DataError(f"series '{series}' has two rows at {x} {value}; sum them up first")


def _counts(table: pd.DataFrame, names: Iterable[str], unit: str) -> str:
    """How many observations a point stands on, a range where points differ; for each series where those do."""
    counts = {}
    for name in names:
        found = table.loc[table["series"] == name, "count"]
        low, high = int(found.min()), int(found.max())
        counts[name] = str(low) if low == high else f"{low} to {high}"
    if len(set(counts.values())) == 1:
        return f"n\u00a0=\u00a0{next(iter(counts.values()))} {unit}."
    return f"n\u00a0({unit}): {', '.join(f'{name} {count}' for name, count in counts.items())}."


def _draw_line(axes: "Axes", rows: pd.DataFrame, x: str, style: SeriesStyle) -> tuple[float, float]:
    """Draw one series and give the place where it ends."""
    rows = rows.sort_values(x)
    places, mean = rows[x].to_numpy(dtype=np.float64), rows["mean"].to_numpy(dtype=np.float64)
    faint, edge = (style.colour, 0.16), (style.colour, 0.5)
    axes.fill_between(places, rows["low"], rows["high"], facecolor=faint, edgecolor=edge, linewidth=0.4)
    dashes = (0, (3, 2)) if style.colour == CONTROL else "-"
    axes.plot(places, mean, color=style.colour, marker=style.marker, markeredgewidth=0, linestyle=dashes)
    return float(places[-1]), float(mean[-1])


def _ticks(axes: "Axes", places: np.ndarray) -> np.ndarray:
    """The measured places themselves where their numbers have room, else round ones."""
    values = np.unique(places)
    if np.diff(values).min(initial=np.inf) >= (values[-1] - values[0]) / 10:
        return values
    ticks = np.asarray(axes.get_xticks())
    return ticks[(ticks >= values[0]) & (ticks <= values[-1])]


def _label_ends(
    figure: "Figure",
    axes: "Axes",
    labels: Sequence[str],
    ends: Sequence[tuple[float, float]],
    colours: Sequence[str],
) -> None:
    """A label to the right of the axes for each line, as near to its end as the labels leave each other room."""
    texts = [axes.text(1.06, 0.5, label, transform=axes.transAxes, va="center", fontsize=7) for label in labels]
    # The layout makes room for the labels; then it is left alone, and they move up and down.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    box = axes.get_window_extent()
    wanted = [float(axes.transData.transform(end)[1]) for end in ends]
    heights = [text.get_window_extent().height * 1.15 for text in texts]
    placed = _spread(wanted, heights, box.y0, box.y1)
    for text, middle, end, colour in zip(texts, placed, ends, colours, strict=True):
        height = (middle - box.y0) / box.height
        text.set_y(height)
        leader = {"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 2.5}
        axes.annotate("", end, (1.05, height), textcoords="axes fraction", arrowprops=leader)


def _spread(wanted: Sequence[float], heights: Sequence[float], bottom: float, top: float) -> list[float]:
    """Middles of labels, in the order of those wanted, moved so that none overlap or leave the span if they fit."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = list(wanted)
    for i in order:
        placed[i] = max(placed[i], bottom + heights[i] / 2)
        bottom = placed[i] + heights[i] / 2
    for i in reversed(order):
        placed[i] = min(placed[i], top - heights[i] / 2)
        top = placed[i] - heights[i] / 2
    return placed
