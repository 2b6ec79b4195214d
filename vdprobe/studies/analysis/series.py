"""Which rows of a summary a figure shows, and what they are called there."""

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from vdprobe.data.folders import natural_key
from vdprobe.errors import DataError, suggest
from vdprobe.figures.bars import draw_dots
from vdprobe.studies.analysis.cells import GROUP, NONE
from vdprobe.studies.analysis.config import AnalysisConfig, Shown

GRID = ("tap", "timestep", "condition", "noise")
PARTS = ("vae", "unet.in", "unet.down", "unet.mid", "unet.up", "unet")
"""How names of taps begin, in the order in which a frame passes them."""


def shown_place(summary: pd.DataFrame, shown: Shown) -> dict[str, str]:
    """A tap, timestep, condition and noise of the model; raises `DataError` for one that the tables do not hold."""
    rows = summary[~summary["control"]]
    if rows.empty:
        raise DataError("the tables hold no value of the model itself, so no figure can show it; see failures.csv")
    if shown.tap is None and (rows["condition"] != NONE).any():
        rows = rows[rows["condition"] != NONE]  # not the VAE, which is less than the whole model
    place = {}
    for name in GRID:
        levels = [str(level) for level in rows[name].unique()]
        asked = getattr(shown, name)
        if asked is not None and str(asked) not in levels:
            raise DataError(f"shown.{name} (={asked}) is not in the tables: {suggest(str(asked), levels)}")
        place[name] = levels[0] if asked is None else str(asked)
        rows = rows[rows[name].astype(str) == place[name]]
    return place


def pick(summary: pd.DataFrame, place: Mapping[str, str], *, free: str) -> pd.DataFrame:
    """The rows at a place, for all levels of the column `free`, and the nearest that each control has.

    A control that has no such tap, or no condition, noise or timestep at all, is taken with what it has: it is
    one level of `pixels`, or the last layer of a vision model.
    """
    out = [at(summary[~summary["control"]], {name: v for name, v in place.items() if name != free})]
    for _, rows in summary[summary["control"]].groupby("backbone", sort=False):
        for name in GRID:
            if name != free or name != "tap":
                levels = rows[name].astype(str)
                wanted = place[name]
                rows = rows[levels == (wanted if (levels == wanted).any() else levels.iloc[-1])]
        out.append(rows)
    return pd.concat(out, ignore_index=True)


def series_names(rows: pd.DataFrame, subject: str) -> pd.Series:
    """A name for each row: `tiny-t2v, vd-it`; controls by their own name alone."""
    several = rows.loc[~rows["control"], "noise"].nunique() > 1

    def name(row: "pd.Series[str]") -> str:
        if row["control"]:
            return str(row["backbone"])
        if row["condition"] == NONE:
            return f"{subject}, {row['tap']}"
        return f"{subject}, {row['condition']}" + (f", {row['noise']}" if several else "")

    return rows.apply(name, axis=1)


def at(rows: pd.DataFrame, place: Mapping[str, str]) -> pd.DataFrame:
    """The rows whose columns have the values of a place."""
    for name, value in place.items():
        rows = rows[rows[name].astype(str) == value]
    return rows


def describe(place: Mapping[str, str]) -> str:
    """A place in words: `unet.up.2 at t = 50, gaussian noise`."""
    parts = [place["tap"]]
    if place["timestep"] != NONE:
        parts.append(f"at t = {place['timestep']}")
    return " ".join(parts) + (f", {place['noise']} noise" if place["noise"] != NONE else "")


def depth(tap: str) -> tuple[int, object]:
    """Sorts taps from the frames to the output; what is no part of a pipeline comes last."""
    place = next((k for k, part in enumerate(PARTS) if tap.startswith(part)), len(PARTS))
    return place, natural_key(tap)


def file_name(name: str) -> str:
    """A name without what file systems or a shell may mind: `random-UNet`."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")


def draw_taps(
    rows: pd.DataFrame,
    config: AnalysisConfig,
    path: Path,
    *,
    axis: str,
    chance: float | None = None,
    caption: str = "",
    floors: pd.DataFrame | None = None,
    floor: str = "",
) -> None:
    """A dot for each tap and series, at the shown timestep and noise.

    - `rows`: of a summary, one for each cell.
    - `floors`: of a summary too, the value that the dot of each cell must beat; `floor` says what it is.
    """
    if floors is not None:
        rows = rows.merge(floors[[*GROUP, "mean"]].rename(columns={"mean": "floor"}), on=list(GROUP), how="left")
    place = shown_place(rows, config.shown)
    subject = rows[~rows["control"]]
    for name in ("timestep", "noise"):
        levels = subject[name].astype(str)
        subject = subject[levels.isin([place[name], NONE])]
    controls = []
    for _, control in rows[rows["control"]].groupby("backbone", sort=False):
        for name in ("timestep", "noise", "condition"):
            levels = control[name].astype(str)
            wanted = place[name] if (levels == place[name]).any() else levels.iloc[-1]
            control = control[levels.isin([wanted, NONE])]
        controls.append(control)
    table = pd.concat([subject, *controls], ignore_index=True)
    table = table.sort_values("tap", key=lambda taps: taps.map(depth), kind="stable")
    table["label"] = table["tap"]
    table["group"] = table["backbone"].where(table["control"] | (table["condition"] == NONE), table["condition"])
    table.loc[~table["control"] & table["tap"].str.startswith("vae."), "group"] = "VAE"
    title = describe({**place, "tap": config.subject})
    draw_dots(table, path, axis=axis, chance=chance, title=title, caption=caption, floor=floor)
