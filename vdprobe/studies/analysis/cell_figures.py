"""Figures of a value that every cell has: over taps, over timesteps, over kinds of noise."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from vdprobe.figures.bars import draw_dots
from vdprobe.figures.curves import draw_curves
from vdprobe.figures.style import COLOURS
from vdprobe.studies.analysis.cells import GROUP, NONE
from vdprobe.studies.analysis.config import AnalysisConfig
from vdprobe.studies.analysis.frame_rules import rule_words
from vdprobe.studies.analysis.series import at, depth, describe, nearest, noise_words, shown_place
from vdprobe.studies.analysis.tables import Tables

TAPS = "-taps"
"""How the file of a figure over taps may end; the others have their own word in its place."""
USUAL = "gaussian"
"""The noise that others are compared with: that of training."""
ROWS = 12
"""Taps and timesteps of one figure over kinds of noise."""
STATISTICS = ("mean", "low", "high", "count", "absent", "seeds", "seed_sd", "effect")
"""Columns of tables that name nothing."""


def draw_cells(
    rows: pd.DataFrame,
    tables: Tables,
    config: AnalysisConfig,
    path: Path,
    *,
    axis: str,
    line: tuple[str, float] | None = None,
    caption: str = "",
    floors: pd.DataFrame | None = None,
    floor: str = "",
) -> list[Path]:
    """A figure over taps; one over timesteps and one over kinds of noise where the model has several.

    - `rows`: of the summary, one for each cell. `tables`: whose differences are those of these rows too.
    - `floors`: of the summary too, the value that the dot of each cell must beat; `floor` says what it is.
    """
    caption += rule_words(rows)
    stem = path.stem.removesuffix(TAPS)
    place = shown_place(rows, config.shown)
    model = rows[~rows["control"]]
    paths = [path]
    _draw_taps(rows, place, config.subject, path, axis, line, caption, floors, floor)
    if (model.loc[model["timestep"] != NONE, "timestep"]).nunique() > 1:
        paths.append(path.with_name(f"{stem}-timesteps.pdf"))
        _draw_timesteps(rows, place, config.subject, paths[-1], axis, caption)
    if (model.loc[model["noise"] != NONE, "noise"]).nunique() > 1:
        model = at(model, {"condition": place["condition"]})
        usual = USUAL if (model["noise"] == USUAL).any() else model["noise"].iloc[0]
        changes = _changes(model, usual, tables)
        if len(changes):
            paths.append(path.with_name(f"{stem}-noises.pdf"))
            _draw_noises(changes, usual, place, config.subject, paths[-1], axis, caption)
    return paths


def _draw_taps(
    rows: pd.DataFrame,
    place: Mapping[str, str],
    subject: str,
    path: Path,
    axis: str,
    line: tuple[str, float] | None,
    caption: str,
    floors: pd.DataFrame | None,
    floor: str,
) -> None:
    """A dot for each tap and series, at the shown timestep and noise."""
    if floors is not None:
        rows = rows.merge(floors[[*GROUP, "mean"]].rename(columns={"mean": "floor"}), on=list(GROUP), how="left")
    model = nearest(rows[~rows["control"]], place, ("timestep", "noise"))
    controls = [
        nearest(control, place, ("timestep", "noise", "condition"))
        for _, control in rows[rows["control"]].groupby("backbone", sort=False)
    ]
    table = pd.concat([model, *controls], ignore_index=True)
    table = table.sort_values("tap", key=lambda taps: taps.map(depth), kind="stable")
    table["label"] = table["tap"]
    table["group"] = table["backbone"].where(table["control"] | (table["condition"] == NONE), table["condition"])
    table.loc[~table["control"] & table["tap"].str.startswith("vae."), "group"] = "VAE"
    title = describe({**place, "tap": subject})
    draw_dots(table, path, axis=axis, line=line, title=title, caption=caption, floor=floor)


def _draw_timesteps(
    rows: pd.DataFrame, place: Mapping[str, str], subject: str, path: Path, axis: str, caption: str
) -> None:
    """A line for each tap of the model, at the shown condition and noise; for too many, the shown tap's alone.

    Controls are at the shown tap; those that have no timestep are level.
    """
    model = at(rows[~rows["control"]], {name: place[name] for name in ("condition", "noise")})
    taps = sorted(model["tap"].unique(), key=depth)
    if len(taps) > len(COLOURS):
        model, taps = model[model["tap"] == place["tap"]], [place["tap"]]
    lines = [model[model["tap"] == tap].assign(series=tap) for tap in taps]
    for name, control in rows[rows["control"]].groupby("backbone", sort=False):
        line = nearest(control, place, ("tap", "condition", "noise"))
        if (line["timestep"] == NONE).all():
            line = pd.concat([line.assign(timestep=t) for t in model["timestep"].unique()])
        tap = line["tap"].iloc[0]
        lines.append(line.assign(series=f"{name}, {tap}" if tap == place["tap"] else str(name)))
    table = pd.concat(lines, ignore_index=True)
    table["timestep"] = pd.to_numeric(table["timestep"])
    words = f"{subject}, {place['condition']}, {noise_words(place['noise'])}."
    draw_curves(
        table.sort_values("timestep", kind="stable"),
        path,
        x="timestep",
        x_label="timestep (of 1000)",
        y_label=axis,
        caption=f"{words} {caption}".strip(),
    )


def _changes(model: pd.DataFrame, usual: str, tables: Tables) -> pd.DataFrame:
    """What the kind of noise changes in rows of the model: paired differences from the `usual` one.

    Columns of `draw_dots`: a group for each kind, and as `floor` the standard deviation between seeds, of the kind for
    which it is larger, on the side of the difference.
    """
    found = tables.differences[tables.differences["factor"] == "noise"]
    same = [name for name in tables.summary if name in found and name not in (*STATISTICS, "noise", "control")]
    found = found.merge(model[same].drop_duplicates(), on=same)
    back = found["first"] == usual
    found.loc[back, ["mean", "low", "high"]] = -found.loc[back, ["mean", "high", "low"]].to_numpy()
    found["group"] = found["second"].where(back, found["first"]).map(noise_words)
    found = found[back | (found["second"] == usual)]
    deviations = model.set_index([*same, "noise"])["seed_sd"]
    both = [deviations.reindex(pd.MultiIndex.from_frame(found[[*same, name]])) for name in ("first", "second")]
    return found.assign(floor=np.sign(found["mean"]) * np.fmax(*(sd.to_numpy() for sd in both)), control=False)


def _draw_noises(
    changes: pd.DataFrame,
    usual: str,
    place: Mapping[str, str],
    subject: str,
    path: Path,
    axis: str,
    caption: str,
) -> None:
    """A dot for each kind of noise, tap and timestep; for too many, at the shown timestep alone."""
    if len(changes[["tap", "timestep"]].drop_duplicates()) > ROWS:
        changes = at(changes, {"timestep": place["timestep"]})
    changes = changes.sort_values("timestep", key=pd.to_numeric, kind="stable")
    changes = changes.sort_values("tap", key=lambda taps: taps.map(depth), kind="stable")
    words = noise_words(usual)
    draw_dots(
        changes.assign(label=changes["tap"] + ", t = " + changes["timestep"].astype(str)),
        path,
        axis=f"change from {words}",
        line=("no change", 0),
        title=f"{subject}, {place['condition']}: {axis}",
        caption=f"{caption} Against {words}, paired over videos. A kind of noise matters as far as its interval lies "
        "beyond its tick.",
        floor="how much another seed changes the mean (standard deviation)" if changes["floor"].notna().any() else "",
    )
