"""The paper's numbers and claims, each beside what our tables say of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from found_studies import FoundStudy
from measurements import UNKNOWN, Difference, Measurement, Origin, find_difference, find_number, find_origin
from paper import MODELS, Claim, PaperNumber

from vdprobe.models.diffusion.pipeline import BUNDLED, RANDOM
from vdprobe.studies.analysis.cells import NONE
from vdprobe.studies.analysis.series import describe

REAL = "needs the real weights"
HOLDS, FAILS, OPEN = "holds", "does not hold", "undecided (interval includes 0)"
OURS = ("ours", "low", "high", "videos", "seeds", "seed_sd", "model", "data", "at", "step", "note", "remark")
NUMBERS = ("source", "status", "what", "metric", "paper", "paper_model", "paper_data", *OURS)
CLAIMS = ("source", "status", "claim", "first", "second", "metric", "better", "paper", "verdict", "effect", *OURS)
"""Columns of the two tables."""
UNANSWERED = {"verdict": "not measured"}
COUNTS = {"videos": "Int64", "seeds": "Int64"}


def number_rows(
    numbers: Sequence[PaperNumber], found: Sequence[Measurement], studies: Sequence[FoundStudy]
) -> pd.DataFrame:
    """A row for each of the paper's numbers and each measurement of it, or one that says that there is none."""
    rows: list[dict[str, Any]] = []
    for number in numbers:
        paper = {
            "source": number.source,
            "status": number.status,
            "what": number.what,
            "metric": number.metric,
            "paper": "figure only" if number.number is None else str(number.number),
            "paper_model": number.model,
            "paper_data": number.data,
        }
        measured = [
            {"ours": row["mean"], "low": row["low"], "high": row["high"], "videos": row["count"]}
            | {"seeds": row["seeds"], "seed_sd": row["seed_sd"]}
            | _whence(one, row, find_origin(one, number.arm, studies))
            for one in found
            for row in find_number(one, number).to_dict("records")
        ]
        rows += [paper | ours | {"remark": number.remark} for ours in measured or [_not_measured(number.study)]]
    return pd.DataFrame(rows, columns=list(NUMBERS)).astype(COUNTS)


def claim_rows(
    claims: Sequence[Claim],
    numbers: Sequence[PaperNumber],
    found: Sequence[Measurement],
    studies: Sequence[FoundStudy],
) -> pd.DataFrame:
    """A row for each claim and each measurement of it, with a verdict, or one that says that there is none."""
    rows: list[dict[str, Any]] = []
    for claim in claims:
        asked = {
            "source": claim.source,
            "status": claim.status,
            "claim": claim.claim,
            "first": claim.first,
            "second": claim.second,
            "metric": claim.metric,
            "better": claim.better,
            "paper": _paper_difference(claim, numbers),
        }
        measured = list(_measured(claim, found, studies))
        rows += [
            asked | ours | {"remark": claim.remark} for ours in measured or [UNANSWERED | _not_measured(claim.study)]
        ]
    return pd.DataFrame(rows, columns=list(CLAIMS)).astype(COUNTS)


def _measured(claim: Claim, found: Sequence[Measurement], studies: Sequence[FoundStudy]) -> Iterator[dict[str, Any]]:
    for one in found:
        difference = find_difference(one, claim)
        if difference is None:
            continue
        yield {
            "verdict": verdict(difference, claim.better),
            "ours": difference.mean,
            "low": difference.low,
            "high": difference.high,
            "effect": difference.effect,
            "videos": difference.videos,
            "seeds": difference.seeds,
            "seed_sd": difference.seed_sd,
        } | _whence(one, difference.place, find_origin(one, claim.first, studies))


def verdict(difference: Difference, better: str) -> str:
    """Whether the interval lies on the claimed side of 0, on the other, or on both."""
    if difference.low > 0 or difference.high < 0:
        return HOLDS if (difference.low > 0) == (better == "higher") else FAILS
    return OPEN


def _paper_difference(claim: Claim, numbers: Sequence[PaperNumber]) -> str:
    """The paper's own, where both of its numbers are known."""
    known = {n.arm: n.number for n in numbers if (n.source, n.by, n.ours) == (claim.source, claim.by, claim.metric)}
    first, second = known.get(claim.first), known.get(claim.second)
    return "" if first is None or second is None else f"{first - second:+.2f}"


def _whence(found: Measurement, place: Mapping[Any, Any], origin: Origin) -> dict[str, str]:
    at = () if place["tap"] == NONE else (describe(place), place["condition"])
    notes = "; ".join(part for part in (note(origin.model), origin.head and f"head: {origin.head}") if part)
    where = ", ".join(part for part in at if part != NONE)
    return {"model": origin.model, "data": origin.data, "at": where, "step": found.name, "note": notes}


def note(model: str) -> str:
    """What a reader must know of the model before a number of it stands beside the paper's."""
    if model.startswith(RANDOM) or model in BUNDLED:
        return REAL
    if model == UNKNOWN:
        return "give the study that trained the head too"
    return "" if model.partition("@")[0] in MODELS else "by its name another model than the paper's"


def _not_measured(study: str) -> dict[str, Any]:
    todo = f"not measured (experiments/{study})" if study else "no study measures it"
    return dict.fromkeys(("model", "data", "at", "step"), "") | {"note": f"{todo}; {REAL}"}
