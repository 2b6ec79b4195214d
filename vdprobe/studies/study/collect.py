"""From the reports of several evaluations to one table with intervals, and its figure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vdprobe.data.parsing import parsing
from vdprobe.data.text_files import read_json
from vdprobe.errors import ConfigError, DataError
from vdprobe.figures.bars import draw_dots
from vdprobe.studies.analysis.cells import NONE
from vdprobe.studies.analysis.statistics import differences, summarise
from vdprobe.studies.analysis.table_files import write_table
from vdprobe.studies.analysis.tables import VALUES, Tables, read_tables, write_tables
from vdprobe.studies.analysis.video_means import table_means
from vdprobe.studies.study.video_shares import TRACK, video_shares
from vdprobe.training.checkpoint import replace_file

KEYS = ("split", "metric")


@dataclass(frozen=True, kw_only=True)
class CollectConfig:
    """Which evaluations, and what they are called.

    - `arms`: name to the folder of its evaluations, with one folder a seed in it, or itself an evaluation.
    - `controls`: names of arms that the others must beat.
    - `metrics`: columns of `rows.csv` to take, such as `J` and `F`; `J&F` is their mean.
    - `paper`: name to the paper's number, for the table side by side; `title`: of the figure.
    """

    arms: Mapping[str, str]
    controls: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ("J", "F")
    paper: Mapping[str, float] | None = None
    title: str = ""

    def __post_init__(self) -> None:
        for name in self.controls:
            if name not in self.arms:
                raise ConfigError(f"the control '{name}' is not one of the arms: {', '.join(self.arms)}")


def collect(config: CollectConfig, folder: Path) -> list[Path]:
    """Writes `values.csv`, `summary.csv`, `differences.csv`, `table.md` and a figure into `folder`.

    Means are those of the protocol, over tracks; intervals are over videos, see `video_shares`.

    Raises `DataError` for a folder without an evaluation.
    """
    values = pd.concat([_arm(name, Path(place), config) for name, place in config.arms.items()], ignore_index=True)
    summary = summarise(table_means(values, KEYS))
    # an arm is compared with its controls too: whether it is one is not among what must be equal
    compared = differences(table_means(values.assign(control=NONE), KEYS), "condition")
    write_table(folder / VALUES, values)
    write_tables(Tables(summary, compared), folder)
    replace_file(folder / "table.md", lambda part: part.write_text(_markdown(summary, config), "utf-8"))
    return draw_scores(read_tables(folder), config, folder)  # as they are when the figure is drawn again


def draw_scores(tables: Tables, config: CollectConfig, folder: Path) -> list[Path]:
    """The last metric of each arm, from the tables that `collect` wrote; gives the figure's path in `folder`.

    None of a single video, which has no interval.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown = tables.summary[tables.summary["metric"] == tables.summary["metric"].iloc[-1]]
    if (shown["count"] < 2).any():
        return []
    dots = shown.assign(label=shown["condition"], group=shown["split"])
    figure = folder / "scores.pdf"
    axis = f"{shown['metric'].iloc[0]} (higher is better)"
    draw_dots(dots, figure, axis=axis, title=config.title, caption=_reservation(shown))
    return [figure]


def _arm(name: str, place: Path, config: CollectConfig) -> pd.DataFrame:
    """What each video adds to the mean of the protocol, by seed, in the columns that statistics take."""
    folders = [place] if (place / "rows.csv").exists() else sorted(path.parent for path in place.glob("*/rows.csv"))
    if not folders:
        raise DataError(f"{place} holds no evaluation (rows.csv); evaluate the arm '{name}' first")
    tables = []
    for seed, folder in enumerate(folders):
        with parsing(folder, "holds no whole evaluation", f"evaluate the arm '{name}' again"):
            tables.append(_evaluation(name, seed, folder, config))
    return pd.concat(tables, ignore_index=True)


def _evaluation(name: str, seed: int, folder: Path, config: CollectConfig) -> pd.DataFrame:
    empty = {name: [""] for name in config.metrics}
    rows = pd.read_csv(folder / "rows.csv", dtype=dict.fromkeys(TRACK, str), keep_default_na=False, na_values=empty)
    missing = [metric for metric in config.metrics if metric not in rows]
    if missing:
        raise DataError(f"{folder / 'rows.csv'} has no column '{missing[0]}'; it has {', '.join(rows.columns)}")
    by_video = video_shares(rows, config.metrics) * 100
    by_video["&".join(config.metrics)] = by_video.mean(axis=1)
    long = by_video.reset_index().melt("video", var_name="metric", value_name="value")
    return long.assign(
        backbone=NONE,
        control=name in config.controls,
        condition=name,
        noise=NONE,
        seed=seed,
        timestep=NONE,
        tap=NONE,
        split=str(read_json(folder / "report.json").get("split", NONE)),
    )


def _reservation(summary: pd.DataFrame) -> str:
    """What an interval leaves out where an arm has a single evaluation."""
    if (summary["seeds"] > 1).all():
        return ""
    return "Intervals are over videos: where there is one seed, they do not say how far another training would fall."


def _markdown(summary: pd.DataFrame, config: CollectConfig) -> str:
    paper = config.paper or {}
    lines = ["| arm | metric | mean | 95 % interval | seeds | sd over seeds | videos | paper |", "|" + "---|" * 8]
    for row in summary.to_dict("records"):
        spread = "" if pd.isna(row["seed_sd"]) else f"{row['seed_sd']:.2f}"
        number = paper.get(row["condition"]) if row["metric"] == "&".join(config.metrics) else None
        cells = [
            row["condition"],
            row["metric"],
            f"{row['mean']:.1f}",
            f"{row['low']:.1f} to {row['high']:.1f}",
            row["seeds"],
            spread,
            row["count"],
            "" if number is None else f"{number} (another model, other data)",
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    if reservation := _reservation(summary):
        lines += ["", reservation]
    return "\n".join(lines) + "\n"
