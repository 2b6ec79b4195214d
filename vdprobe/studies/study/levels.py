"""From analyses of several models over noise levels to one table and one figure: the same question to all of them.

Levels are compared by logSNR: the same t is another amount of noise in another model.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vdprobe.data.text_files import read_json
from vdprobe.errors import ConfigError, DataError
from vdprobe.figures.panels import draw_panels
from vdprobe.models.diffusion.diffusion_model import DiffusionModel
from vdprobe.models.registry import find_model
from vdprobe.models.transformer.taps import BLOCK
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.numbers import plain_number
from vdprobe.specs.request import LatentFrames
from vdprobe.studies.analysis.cells import NONE
from vdprobe.studies.analysis.run import RECORD
from vdprobe.studies.analysis.table_files import read_table, write_table
from vdprobe.training.checkpoint import replace_file

MEASURES: dict[str, tuple[str, Mapping[str, str]]] = {
    "propagation": ("label propagation, J&F", {"masks": "propagated", "score": "J&F"}),
    "roi-similarity": (
        "RoI AUC",
        {"estimator": "masked_mean_centred", "statistic": "AUC", "split": "all", "level": "all"},
    ),
}
"""Analysis to what of it is shown, and the rows of its summary that hold that."""
HIDDEN, QK = "hidden", "QK"
TABLE = (
    "model",
    "mode",
    "tap",
    "block",
    "kind",
    "t",
    "s",
    "sigma",
    "logsnr",
    "measure",
    "mean",
    "low",
    "high",
    "count",
)


@dataclass(frozen=True, kw_only=True)
class LevelsConfig:
    """Which analyses, and what stands beside.

    - `analyses`: name of an analysis to the folder of its runs, in it a folder for each model and way of encoding.
    - `blocks`: model to the taps that the figure shows, one of hidden states and one of queries; by default the middle
      ones of those that were asked. They are named before anything is measured, so that no best one is picked.
    - `published`: what others read: study, model, tap, level, protocol and result, as they say it.
    """

    analyses: Mapping[str, str]
    blocks: Mapping[str, tuple[str, ...]] | None = None
    published: tuple[Mapping[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name in self.analyses:
            if name not in MEASURES:
                raise ConfigError(f"levels shows {' and '.join(MEASURES)}, and not '{name}'")


def collect_levels(config: LevelsConfig, folder: Path) -> list[Path]:
    """Writes `levels.csv`, `table.md` and the figure `curves` into `folder`; gives the figure's path.

    Raises `DataError` for a folder without an analysis.
    """
    parts = [rows for name, place in config.analyses.items() for rows in _runs(name, Path(place))]
    if not parts:
        raise DataError(f"no analysis has been run in {', '.join(config.analyses.values())}; run those steps first")
    table = pd.DataFrame([row for rows in parts for row in rows])[list(TABLE)]
    write_table(folder / "levels.csv", table)
    replace_file(folder / "table.md", lambda part: part.write_text(_markdown(table, config), "utf-8"))
    shown = table[table["tap"].isin(_shown(table, config)) & np.isfinite(table["logsnr"].astype(float))]
    shown = shown[shown["low"].notna()]
    if shown.empty:  # one video has no interval
        return []
    figure = folder / "curves.pdf"
    draw_panels(
        shown.assign(
            column=shown["model"], row=shown["measure"], series=shown["kind"], dashed=shown["mode"] != "native"
        ),
        figure,
        x="logsnr",
        x_label="logSNR",
        caption=f"Taps: {', '.join(dict.fromkeys(shown['tap']))}. QK: a place's query against keys (propagation) or "
        "queries alone (RoI). To the right there is less noise; clean latents (infinite logSNR) are in the table.",
    )
    return [figure]


def _runs(analysis: str, place: Path) -> Iterator[list[dict[str, Any]]]:
    """The rows of each run of an analysis."""
    measure, wanted = MEASURES[analysis]
    for record in sorted(place.glob(f"*/{RECORD}")):
        config = read_json(record)["config"]["features"]
        model, mode = config["model"]["pipeline"], config.get("latent_frames", "native")
        summary = read_table(record.with_name("summary.csv"))
        for name, value in wanted.items():
            summary = summary[summary[name] == value]
        yield list(_rows(summary[~summary["control"].astype(bool)], model, mode, measure))


def _rows(summary: pd.DataFrame, model: str, mode: LatentFrames, measure: str) -> Iterator[dict[str, Any]]:
    found = find_model(model)
    levels: dict[Any, NoiseLevel] = {}
    for row in summary.to_dict("records"):
        t = row["timestep"]
        if t not in levels and isinstance(found, DiffusionModel) and t != NONE:
            levels[t] = found.family.process().level(plain_number(float(t)))
        level = levels.get(t)
        block = BLOCK.fullmatch(row["tap"])
        units: Mapping[str, Any] = level.units if level else dict.fromkeys(("s", "sigma", "logsnr"))
        infinite = level is not None and level.amount == 0
        yield {
            "model": model,
            "mode": mode,
            "tap": row["tap"],
            "block": int(block[1]) if block else None,
            "kind": {"q": QK, "k": "K"}.get((block[2] if block else None) or "", HIDDEN),
            "t": NONE if t == NONE else "clean" if infinite else t,
            **units,
            "logsnr": np.inf if infinite else units["logsnr"],
            "measure": measure,
            **{name: row[name] for name in ("mean", "low", "high", "count")},
        }


def _shown(table: pd.DataFrame, config: LevelsConfig) -> set[str]:
    """The taps of the figure."""
    if config.blocks is not None:
        return {tap for taps in config.blocks.values() for tap in taps}
    chosen = set()
    for _, of_model in table.groupby(["model", "kind"], sort=False):
        taps = list(dict.fromkeys(of_model["tap"]))
        chosen.add(taps[len(taps) // 2])
    return chosen


def _markdown(table: pd.DataFrame, config: LevelsConfig) -> str:
    lines = ["| " + " | ".join(TABLE) + " |", "|" + "---|" * len(TABLE)]
    for row in table.to_dict("records"):
        cells = [f"{v:.4g}" if isinstance(v, float) else "" if v is None else str(v) for v in row.values()]
        lines.append("| " + " | ".join(cells) + " |")
    if config.published:
        names = list(dict.fromkeys(name for row in config.published for name in row))
        lines += [
            "",
            "What others read, as they say it:",
            "",
            "| " + " | ".join(names) + " |",
            "|" + "---|" * len(names),
        ]
        lines += ["| " + " | ".join(row.get(name, "") for name in names) + " |" for row in config.published]
    return "\n".join(lines) + "\n"
