"""Which rows of a summary a figure shows, and what they are called there."""

from collections.abc import Iterable, Mapping

import pandas as pd

from vdprobe.data.folders import natural_key
from vdprobe.errors import DataError, suggest
from vdprobe.studies.analysis.cells import NONE
from vdprobe.studies.analysis.config import Shown

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


def pick(summary: pd.DataFrame, place: Mapping[str, str]) -> pd.DataFrame:
    """The rows at a place, under all conditions, and the nearest that each control has.

    A control that has no such tap, or no condition, noise or timestep at all, is taken with what it has: it is
    one level of `pixels`, or the last layer of a vision model.
    """
    out = [at(summary[~summary["control"]], {name: v for name, v in place.items() if name != "condition"})]
    for _, rows in summary[summary["control"]].groupby("backbone", sort=False):
        out.append(nearest(rows, place, GRID))
    return pd.concat(out, ignore_index=True)


def nearest(rows: pd.DataFrame, place: Mapping[str, str], names: Iterable[str]) -> pd.DataFrame:
    """The rows of one backbone at a place, by the columns `names`; of one that it lacks, the last that it has.

    Rows that have no such thing stay beside those that have.
    """
    for name in names:
        levels = rows[name].astype(str)
        wanted = place[name] if (levels == place[name]).any() else levels.iloc[-1]
        rows = rows[levels.isin([wanted, NONE])]
    return rows


def series_names(rows: pd.DataFrame, subject: str) -> pd.Series:
    """A name for each row: `tiny-t2v, vd-it`; controls by their own name alone."""
    several = rows.loc[~rows["control"], "noise"].nunique() > 1

    def name(row: "pd.Series[str]") -> str:
        if row["control"]:
            return str(row["backbone"])
        if row["condition"] == NONE:
            return f"{subject}, {row['tap']}"
        return f"{subject}, {row['condition']}" + (f", {noise_words(row['noise'])}" if several else "")

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
    return " ".join(parts) + (f", {noise_words(place['noise'])}" if place["noise"] != NONE else "")


def noise_words(kind: str) -> str:
    """A kind of noise in words: `gaussian noise`, `no noise`."""
    return f"{'no' if kind == 'none' else kind} noise"


def depth(tap: str) -> tuple[int, object]:
    """Sorts taps from the frames to the output; what is no part of a pipeline comes last."""
    place = next((k for k, part in enumerate(PARTS) if tap.startswith(part)), len(PARTS))
    return place, natural_key(tap)
