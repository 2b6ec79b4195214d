"""What a finished step of a study measured: its tables, and where in them a number or a difference stands."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from found_studies import FoundStudy, heads_behind, models_behind, videos_scored
from paper import ANY_MODEL, COLLECT, COMPARE, Claim, PaperNumber, overrides

from vdprobe.errors import DataError
from vdprobe.specs.load import build
from vdprobe.studies.analysis.analysis import Direct
from vdprobe.studies.analysis.by_name import ANALYSES
from vdprobe.studies.analysis.cells import NONE
from vdprobe.studies.analysis.config import AnalysisConfig, Shown
from vdprobe.studies.analysis.redraw import redraw
from vdprobe.studies.analysis.series import GRID, at, shown_place
from vdprobe.studies.analysis.table_files import read_table
from vdprobe.studies.analysis.tables import Tables, read_tables
from vdprobe.studies.study.collect import CollectConfig, draw_scores
from vdprobe.studies.study.compare import OURS, CompareConfig
from vdprobe.studies.study.config import Task
from vdprobe.studies.study.run import DONE

TABLED = ("analyze", COLLECT, COMPARE)
"""Steps that leave tables."""
UNKNOWN = "not known: none of the studies given made it"


@dataclass(frozen=True)
class Measurement:
    """The tables of a step.

    - `by`: the name of an analysis, `collect` or `compare`; `config`: of that.
    - `keys`: columns that say what was measured; `arm`: the column of what is compared.
    - `place`: values of the other columns, as the study's figures show them.
    - `lost`: how many videos, expressions and clips could not be measured.
    """

    study: FoundStudy
    task: Task
    by: str
    config: Any
    keys: tuple[str, ...]
    arm: str
    place: Mapping[str, str]
    tables: Tables
    lost: int

    @property
    def folder(self) -> Path:
        """Where the tables lie."""
        return self.study.folder / self.task.folder

    @property
    def name(self) -> str:
        """For people, and of the folder for its figures: `components/table/test`."""
        return f"{self.study.name}/{self.task.folder}"


@dataclass(frozen=True)
class Origin:
    """The model that a value is of, and the videos.

    - `head`: one that predicted, and that none of the studies trained; empty where there is none.
    """

    model: str
    data: str
    head: str = ""


@dataclass(frozen=True)
class Difference:
    """First minus second, paired over videos.

    - `low`, `high`: 95 % interval over `videos`. `effect`: mean over deviation of the differences.
    - `seeds`: of the one with fewer; `seed_sd`: from seed to seed, of the one that varies more, nan for one seed.
    - `place`: tap, timestep, condition and noise of both, `-` for that in which they differ.
    """

    mean: float
    low: float
    high: float
    videos: int
    effect: float
    seeds: int
    seed_sd: float
    place: Mapping[str, str]


def read_measurement(study: FoundStudy, task: Task) -> Measurement:
    """Raises `DataError` for a step that is not done, lacks a table, or has nothing to show in it."""
    folder = study.folder / task.folder
    if not (folder / DONE).is_file():
        raise DataError(f"there is no {folder / DONE}; run the study again, it goes on where it was")
    values = dict(task.config)
    if task.do == COMPARE:
        tables = _read_compared(folder / "table.csv")
        return Measurement(study, task, COMPARE, build(CompareConfig, values), ("score",), "evaluation", {}, tables, 0)
    tables = read_tables(folder)
    if task.do == COLLECT:
        place = shown_place(tables.summary, Shown())
        config = build(CollectConfig, values)
        return Measurement(study, task, COLLECT, config, ("metric",), "condition", place, tables, 0)
    analysis = ANALYSES[values.pop("analysis")]
    asked = build(analysis.config, values)
    place = shown_place(tables.summary, asked.shown)
    if isinstance(asked, AnalysisConfig):
        place["backbone"] = asked.subject
    arm = "backbone" if isinstance(analysis.measure, Direct) else "condition"
    lost = len(read_table(folder / "failures.csv"))
    return Measurement(study, task, analysis.name, asked, analysis.keys, arm, place, tables, lost)


def _read_compared(path: Path) -> Tables:
    """Our scores of a `compare` step as a summary; it does not say of how many videos they are."""
    if not path.is_file():
        raise DataError(f"there is no {path}; run the study again")
    table = read_table(path).astype({"low": float, "high": float})
    unknown: dict[str, Any] = {"count": pd.NA, "seeds": pd.NA, "seed_sd": float("nan")} | dict.fromkeys(GRID, NONE)
    summary = table[table["source"] == OURS].rename(columns={"value": "mean"}).assign(**unknown)
    return Tables(summary, pd.DataFrame())


def draw(found: Measurement, out: Path) -> list[Path]:
    """Every figure of the step, from its tables, into a folder; what they show is what the study asks for.

    `compare` has none.
    """
    if found.by == COMPARE:
        return []
    if found.by == COLLECT:
        return draw_scores(found.tables, found.config, out)
    return redraw(found.folder, out, {"shown": asdict(found.config.shown)})


def find_number(found: Measurement, number: PaperNumber) -> pd.DataFrame:
    """The rows of the summary that stand against the paper's number: none, one, or one for each split."""
    if number.by != found.by:
        return found.tables.summary.iloc[:0]
    asked = {**found.place, **overrides(number.at), found.arm: number.arm, **_values(found.keys, number.ours)}
    return at(found.tables.summary, asked)


def find_difference(found: Measurement, claim: Claim) -> Difference | None:
    """The difference that a claim is about, None where the step does not compare the two."""
    first, second = (found.place.get("backbone", x) if x == ANY_MODEL else x for x in (claim.first, claim.second))
    table = found.tables.differences
    if claim.by != found.by or claim.factor not in set(table.get("factor", ())):
        return None
    place = {**found.place, **overrides(claim.at)}
    fixed = place | _values([key for key in found.keys if key != claim.factor], claim.metric)
    fixed.pop(claim.factor, None)
    pairs = at(table[table["factor"] == claim.factor], fixed)
    for sign, one, other in ((1, first, second), (-1, second, first)):  # a table has each pair once
        for row in pairs[(pairs["first"] == one) & (pairs["second"] == other)].to_dict("records"):
            both = [at(found.tables.summary, {**fixed, claim.factor: level}) for level in (one, other)]
            spread = pd.concat(both)
            low, high = sorted((sign * row["low"], sign * row["high"]))
            return Difference(
                mean=sign * row["mean"],
                low=low,
                high=high,
                videos=int(row["count"]),
                effect=sign * row["effect"],
                seeds=int(spread["seeds"].min()),
                seed_sd=float(spread["seed_sd"].max()),
                place=place | {claim.factor: NONE},
            )
    return None


def _values(keys: Sequence[str], words: str) -> dict[str, str]:
    """`paper / object / 7` as the values of the columns that it names."""
    return dict(zip(keys, words.split(" / "), strict=True))


def find_origin(found: Measurement, arm: str, studies: Sequence[FoundStudy]) -> Origin:
    """From the study's own configuration: for arms that are results of other steps, from those that made them."""
    if isinstance(found.config, AnalysisConfig):
        return Origin(found.config.subject, _videos(found.config.features.videos))
    if found.by in (COLLECT, COMPARE):
        place = (found.config.arms if found.by == COLLECT else found.config.evaluations)[arm]
        data = _joined(videos_scored(place, studies)) or UNKNOWN
    else:
        place, data = found.config.predictions[arm], _videos(found.config.videos)
    return Origin(_joined(models_behind(place, studies)) or UNKNOWN, data, _joined(heads_behind(place, studies)))


def _videos(config: Any) -> str:
    return f"{config.path}, {config.split}"


def _joined(names: Sequence[str]) -> str:
    return " and ".join(names)
