"""The numbers, the claims and the state of every step as one text to read."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from vdprobe.training.checkpoint import replace_file

ABOVE = """# The paper's numbers and ours

Made by `analysis/rebuild.py` from result tables alone. Two numbers compare only where model and data are the same:
data are shown by the path and split that a study names, and whether the paper's videos lie there no table can tell.
`status`: V seen in something that the authors published, P read from their compiled files, N from notes that others
made of the paper. Ours are means with 95 % intervals over videos, seeds averaged.
"""
CLAIMS = """## Claims

First minus second, paired over videos. A claim holds, or does not hold, where the 95 % interval over videos lies on one
side of 0; that says so of the model and data in its row and of no other. `sd over seeds` is that of the one of the two
that varies more: a smaller difference may be that of another draw. Intervals are too narrow for few videos, and not
corrected for their number: of 20 differences that are truly 0, one is expected to lie outside. What has no status is
no claim of the paper but a control.
"""
STEPS = """## Steps

What could not be measured is listed in `failures.csv` of the step.
"""
WHENCE = ("our model", "our data", "at", "step", "note")


@dataclass(frozen=True)
class StepState:
    """What became of a step with tables.

    - `lost`: how many videos, expressions and clips it could not measure. `error`: why it is missing here, if so.
    """

    name: str
    title: str
    figures: tuple[Path, ...]
    lost: int
    error: str = ""


def write_report(numbers: pd.DataFrame, claims: pd.DataFrame, states: Sequence[StepState], path: Path) -> None:
    """Numbers by their place in the paper, then claims, then steps."""
    parts = [ABOVE]
    for source, rows in numbers.groupby("source", sort=False):
        parts += [f"## {source}\n", _numbers(rows)]
    parts += [CLAIMS, _claims(claims), STEPS, _steps(states)]
    replace_file(path, lambda part: part.write_text("\n".join(parts), "utf-8"))


def _numbers(rows: pd.DataFrame) -> str:
    paper = ("what", "metric", "paper", "status", "paper_model", "paper_data")
    heads = [*paper[:4], "paper's model", "paper's data", "ours", "95 % interval", "videos", "seeds", *WHENCE]
    lines = []
    for row in _records(rows):
        ours = [_value(row["ours"]), _interval(row), row["videos"], row["seeds"]]
        lines.append([*(row[name] for name in paper), *ours, *_whence(row)])
    return _table(heads, lines)


def _claims(rows: pd.DataFrame) -> str:
    asked = ("claim", "source", "status", "first", "second", "metric", "better", "paper")
    heads = [*asked, "ours", "95 % interval", "verdict", "videos", "seeds", "sd over seeds", *WHENCE]
    lines = []
    for row in _records(rows):
        ours = [_value(row["ours"], "+"), _interval(row, "+"), row["verdict"], row["videos"], row["seeds"]]
        lines.append([*(row[name] for name in asked), *ours, _value(row["seed_sd"]), *_whence(row)])
    return _table(heads, lines)


def _whence(row: Mapping[str, Any]) -> list[str]:
    """The cells of `WHENCE`."""
    notes = "; ".join(part for part in (row["note"], row["remark"]) if part)
    return [row["model"], row["data"], row["at"], row["step"], notes]


def _steps(states: Sequence[StepState]) -> str:
    heads = ("step", "study", "figures", "could not be measured", "missing")
    return _table(heads, [(s.name, s.title, len(s.figures), s.lost, s.error) for s in states])


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    cells = [["" if pd.isna(cell) else str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def _value(value: float, sign: str = "") -> str:
    if math.isnan(value):
        return ""
    return f"{value:{sign}.3f}" if abs(value) < 1 else f"{value:{sign}.2f}"


def _interval(row: Mapping[str, Any], sign: str = "") -> str:
    return "" if math.isnan(row["low"]) else f"{_value(row['low'], sign)} to {_value(row['high'], sign)}"
