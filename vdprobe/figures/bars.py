"""Values with their intervals, as dots on lines: what differs from what, and what beats its controls."""

import textwrap
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

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
    import pandas as pd

COLUMNS = ("label", "group", "mean", "low", "high", "count", "control")
ROW, GAP, FRAME, LINE, NAME_LINE = 0.13, 0.09, 0.72, 0.16, 0.11
"""Inches: a dot's lane, the space between labels, what axis and caption take, a line of title or legend, of a label."""


def draw_dots(
    table: "pd.DataFrame",
    path: Path,
    *,
    axis: str,
    title: str = "",
    samples: str = "videos",
    line: tuple[str, float] | None = None,
    caption: str = "",
    floor: str = "",
) -> None:
    """A row of the picture for each label, in it a dot and an interval for each group; PDF, PNG and CSV.

    - `table`: one row a dot. `label` and `group` are words, shown in their order; `mean`, `low` and `high` are a mean
      and its 95 % interval; `count` is how many samples it is over; `control` is true where a value is one that
      others must beat: it is drawn hollow and grey.
    - `axis`: what the values are and which way is better, such as `IoU (higher is better)`.
    - `samples`: what `count` counts.
    - `line`: a value that is drawn as a line, and what it is: `("chance", 0.5)`.
    - `caption`: what is shown, in sentences. What dots and lines are and the counts are added to it.
    - `floor`: what a column `floor` holds, as `the same frames in any order`: a value that a dot must beat, drawn
      as a tick beside it; nan for a dot without one.

    Raises `DataError` for a table without rows, a missing column, two rows for one dot, a mean that is not
    within its interval, or more groups than can be told apart.
    """
    _check(table)
    styles = _styles(table)
    groups = list(styles)
    lanes: dict[tuple[str, str], float] = {}
    ticks: dict[str, float] = {}
    bottom, edges = 0.0, [0.0]
    for label, rows in table.groupby("label", sort=False):
        shown = [group for group in groups if group in set(rows["group"])]
        height = max(ROW * len(shown), NAME_LINE * (broken(str(label)).count("\n") + 1))
        first = bottom + (GAP + height - ROW * len(shown)) / 2
        for k, group in enumerate(shown):
            lanes[str(label), group] = first + ROW * (k + 0.5)
        edges.append(bottom + GAP + height)
        ticks[str(label)] = (bottom + edges[-1]) / 2
        bottom = edges[-1]
    lines = bool(title) + (-(-len(groups) // 2) if len(groups) > 1 else 0)
    caption = " ".join(part for part in (caption, _caption(table, samples, line, floor)) if part)
    height = FRAME + LINE * lines + bottom + CAPTION_LINE * (len(textwrap.wrap(caption, LETTERS)) - 1)
    with saved_figure(path, table, height=height) as figure:
        axes = figure.subplots()
        for row in table.to_dict("records"):
            y, look = lanes[row["label"], row["group"]], styles[row["group"]]
            colour = CONTROL if row["control"] else look.colour
            axes.plot([row["low"], row["high"]], [y, y], color=colour, solid_capstyle="butt")
            face = "white" if row["control"] else colour
            axes.plot(row["mean"], y, look.marker, color=colour, markerfacecolor=face, markeredgewidth=0.9)
            if floor:
                axes.plot(row["floor"], y, "|", color="#333333", markersize=6, markeredgewidth=1.1)
        if line is not None:
            axes.axvline(line[1], color="#333333", linewidth=0.8, linestyle=(0, (4, 2)), zorder=0.5)
        axes.set_yticks(list(ticks.values()), map(broken, ticks))
        axes.set_ylim(bottom, 0)  # the first label on top
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        axes.set_xlabel(axis)
        if len(groups) == 1:
            figure.suptitle(title, fontsize=8)
        else:
            for top, below in list(pairwise(edges))[::2]:
                axes.axhspan(top, below, color="#F4F4F4", linewidth=0, zorder=0)
            handles = [
                axes.plot([], [], look.marker, color=look.colour, markerfacecolor=face, label=group)[0]
                for group, look in styles.items()
                for face in ["white" if look.colour == CONTROL else look.colour]
            ]
            figure.legend(handles=handles, loc="outside upper center", ncols=2, handletextpad=0.1, title=title)
        add_caption(figure, caption)


def _styles(table: "pd.DataFrame") -> dict[str, SeriesStyle]:
    """Colours for the groups that hold more than controls; after them those that do not, in grey."""
    only_controls = table.groupby("group", sort=False)["control"].all()
    styles = series_styles(only_controls.index[~only_controls])
    controls = series_styles(only_controls.index[only_controls])
    return styles | {group: SeriesStyle(CONTROL, look.marker) for group, look in controls.items()}


def _caption(table: "pd.DataFrame", samples: str, line: tuple[str, float] | None, floor: str) -> str:
    least, most = table["count"].min(), table["count"].max()
    parts = [
        "Dots: means; lines: 95 % intervals.",
        "Hollow grey: controls." if table["control"].any() else "",
        f"Dashed: {line[0]} ({line[1]:g})." if line is not None else "",
        f"Ticks: {floor}." if floor else "",
        f"n = {least if least == most else f'{least} to {most}'} {samples}.".replace(" ", "\u00a0"),
    ]
    return " ".join(part for part in parts if part)


def _check(table: "pd.DataFrame") -> None:
    missing = [name for name in COLUMNS if name not in table]
    if missing or table.empty:
        what = f"no column '{missing[0]}'" if missing else "no row"
        raise DataError(f"the table has {what}, nothing to draw; give rows of {', '.join(COLUMNS)}")
    twice = table[table.duplicated(["label", "group"])]
    if len(twice):
        label, group = twice.iloc[0][["label", "group"]]
        raise DataError(f"the table has two rows for '{label}', '{group}'; average them, or split the table")
    wrong = table[~((table["low"] <= table["mean"]) & (table["mean"] <= table["high"]))]
    if len(wrong):
        label, group, value, low, high = wrong.iloc[0][["label", "group", "mean", "low", "high"]]
        raise DataError(f"'{label}', '{group}': {value} is not within its interval {low} to {high}; check the table")
