"""The scores of evaluations beside published ones."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vdprobe.data.parsing import parsing
from vdprobe.data.text_files import read_json
from vdprobe.errors import ConfigError, DataError, suggest
from vdprobe.metrics.intervals import bootstrap_intervals
from vdprobe.studies.study.video_shares import TRACK, video_shares
from vdprobe.training.checkpoint import replace_file

OURS = "ours"


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """Which evaluations, and what they stand beside.

    - `evaluations`: name to the folder of an evaluation.
    - `published`: whose numbers, to the name of an evaluation, to the name of a score as the protocol spells it, to
      the number, in percent.
    """

    evaluations: Mapping[str, str]
    published: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if OURS in self.published:
            raise ConfigError(f"published '{OURS}' would hide our own numbers; give it another name")
        for source, numbers in self.published.items():
            for name in numbers:
                if name not in self.evaluations:
                    known = suggest(name, self.evaluations)
                    raise ConfigError(f"published '{source}' is of '{name}', which is none of the evaluations: {known}")


def compare(config: CompareConfig, folder: Path) -> Path:
    """Writes `table.csv`, one number a row, and `table.md` into `folder`; gives the latter.

    `low` and `high` are the 95 % interval over videos of J, F and their mean; other scores have none, and neither
    have published ones. Raises `DataError` for a folder without an evaluation, `ConfigError` for a published number
    of a score that its protocol does not give.
    """
    rows: list[dict[str, Any]] = []
    facts = []
    for name, place in config.evaluations.items():
        beside = {source: numbers.get(name, {}) for source, numbers in config.published.items()}
        with parsing(place, "holds no whole evaluation", f"evaluate '{name}' again"):
            report, intervals = _read(name, Path(place))
            _check(name, report["scores"], beside)
            rows += _rows(name, report, intervals, beside)
            facts.append(_facts(name, report))
    table = pd.DataFrame(rows)
    replace_file(folder / "table.csv", partial(table.to_csv, index=False))
    text = _markdown(table, list(config.published)) + "\n" + "\n".join(facts) + "\n"
    replace_file(folder / "table.md", lambda part: part.write_text(text, "utf-8"))
    return folder / "table.md"


def _rows(
    name: str,
    report: Mapping[str, Any],
    intervals: Mapping[str, tuple[float, float]],
    beside: Mapping[str, Mapping[str, float]],
) -> Iterator[dict[str, Any]]:
    for score, share in report["scores"].items():
        row = {"evaluation": name, "protocol": report["protocol"], "split": report["split"], "score": score}
        low, high = intervals.get(score, (np.nan, np.nan))
        yield row | {"source": OURS, "value": 100 * float(share), "low": low, "high": high}
        yield from (row | {"source": s, "value": numbers[score]} for s, numbers in beside.items() if score in numbers)


def _check(name: str, scores: Mapping[str, float], beside: Mapping[str, Mapping[str, float]]) -> None:
    for source, numbers in beside.items():
        for score in numbers:
            if score not in scores:
                known = suggest(score, scores)
                raise ConfigError(f"published '{source}' has '{score}' of '{name}', which it does not give: {known}")


def _read(name: str, place: Path) -> tuple[Mapping[str, Any], dict[str, tuple[float, float]]]:
    """The report, and the interval of each score that has one."""
    if not (place / "report.json").is_file():
        raise DataError(f"{place} holds no evaluation (report.json); evaluate '{name}' first")
    rows = pd.read_csv(place / "rows.csv", dtype=dict.fromkeys(TRACK, str), keep_default_na=False)
    return read_json(place / "report.json"), _intervals(rows) if {*TRACK, "J", "F"}.issubset(rows) else {}


def _intervals(rows: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Of J, F and their mean in percent, by what each video adds to the mean; none of fewer than two videos."""
    shares = video_shares(rows, ("J", "F")) * 100
    shares["J&F"] = shares.mean(axis=1)
    if len(shares) < 2:
        return {}
    _, low, high = bootstrap_intervals(shares.to_numpy(dtype=np.float64))
    return {str(score): (float(low[k]), float(high[k])) for k, score in enumerate(shares.columns)}


def _facts(name: str, report: Mapping[str, Any]) -> str:
    """What a reader of the scores must know, in a line."""
    counts = [f"{count} {what}" for what, count in report["counts"].items() if count]
    kinds = {
        "missing": "missing, scored 0",
        "unscored": "without usable truth, not scored",
        "extra": "extra, not scored",
    }
    counts += [f"{len(report[kind])} {what}" for kind, what in kinds.items()]
    return "- " + "; ".join([f"{name}: {', '.join(counts)}", *report["notes"]])


def _markdown(table: pd.DataFrame, published: list[str]) -> str:
    lines = [
        "| " + " | ".join(["evaluation", "score", OURS, "95 % interval over videos", *published]) + " |",
        "|" + "---|" * (4 + len(published)),
    ]
    for (name, score), rows in table.groupby(["evaluation", "score"], sort=False):
        by_source = {row["source"]: row for row in rows.to_dict("records")}
        own = by_source[OURS]
        interval = "" if pd.isna(own["low"]) else f"{own['low']:.1f} to {own['high']:.1f}"
        others = [f"{by_source[source]['value']:.1f}" if source in by_source else "" for source in published]
        lines.append("| " + " | ".join([str(name), str(score), f"{own['value']:.1f}", interval, *others]) + " |")
    return "\n".join(lines) + "\n"
