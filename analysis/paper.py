"""What the paper says: its numbers (`paper.csv`), and claims that a difference can answer (`claims.csv`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import pandas as pd

from vdprobe.specs.load import build

HERE = Path(__file__).parent
COLLECT, COMPARE = "collect", "compare"
MODELS = ("damo-vilab/text-to-video-ms-1.7b", "ali-vilab/text-to-video-ms-1.7b")
"""The paper's model by its Hugging Face ids: that of the official code, and a later one."""
ANY_MODEL = "model"
"""In a claim, the model that an analysis looks at, whatever it is."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class PaperNumber:
    """A row of `paper.csv`.

    - `source`: where the paper has it; tables have letters, as their numbers in the paper are not known.
    - `status`: V seen in something of the authors', P read from their compiled files, N from others' notes.
    - `what`, `metric`, `data`, `model`: what was measured, on what; `evidence`: what the status rests on.
    - `number`: None where the paper has a curve of which no value is known.
    - `study`: the file in `experiments/` that measures it, empty where none does. `by`: the analysis,
      or `collect` or `compare`.
    - `arm`, `ours`: what our tables call it: a condition, or the name of predictions or of an evaluation; and the
      columns that say what was measured, joined by ` / `.
    - `at`: `column=value; ...` where it is not what the study's figures show.
    """

    source: str
    status: Literal["V", "P", "N"]
    what: str
    metric: str
    number: float | None
    data: str
    model: str
    evidence: str
    study: str
    by: str
    arm: str
    ours: str
    at: str
    remark: str


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A row of `claims.csv`: `first` is better than `second`, two levels of the column `factor`, by `metric`.

    - `status`: as of a `PaperNumber`; empty for what the paper does not say, but a reader must know (a control).
    - `better`: which way. The other columns are those of a `PaperNumber`; `metric` is its `ours`.
    """

    source: str
    status: Literal["V", "P", "N", ""]
    claim: str
    study: str
    by: str
    factor: str
    first: str
    second: str
    metric: str
    better: Literal["higher", "lower"]
    at: str
    remark: str


def read_numbers(path: Path = HERE / "paper.csv") -> list[PaperNumber]:
    """The rows of the file, in its order."""
    return [
        build(PaperNumber, row | {"number": float(row["number"]) if row["number"] else None}) for row in _rows(path)
    ]


def read_claims(path: Path = HERE / "claims.csv") -> list[Claim]:
    """The rows of the file, in its order."""
    return [build(Claim, row) for row in _rows(path)]


def overrides(at: str) -> Mapping[str, str]:
    """`tap=head; noise=predicted` as a mapping."""
    pairs = (part.partition("=") for part in at.split(";") if part.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _rows(path: Path) -> list[dict[str, Any]]:
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
