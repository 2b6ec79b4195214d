"""An evaluation: what is to be scored, the work that comes to, and what a part of the work gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vdprobe.errors import DataError


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """What to score.

    - `predictions`: a folder or zip of masks, or a JSON of COCO results, as the protocol's benchmark takes them.
    - `dataset`: a folder with masks; for a2d, jhmdb and refcoco also the JSON of annotations in COCO's format, of
      which all are scored, whatever `split` says.
    - `only`: ids of the videos to score; all where it is empty.
    - `difficulty`: score expressions of that one alone, where the dataset tells it; None for all.
    """

    protocol: str
    predictions: Path
    dataset: Path
    split: str = "valid"
    only: tuple[str, ...] = ()
    difficulty: str | None = None


@dataclass(frozen=True)
class Scored:
    """What some of the jobs gave.

    - `records`: those of the protocol.
    - `facts`: what is worth telling, and of which video.
    - `unscored`: what turned out to have no usable truth, with the reason.
    """

    records: list[Any]
    facts: list[tuple[str, str]]
    unscored: list[str]


@dataclass(frozen=True)
class Work:
    """Jobs, how many a process takes at a time, how it scores them, and what is known before any is done."""

    jobs: list[Any]
    chunk: int
    score: Callable[[list[Any]], Scored]
    extra: tuple[str, ...]
    unscored: tuple[str, ...] = ()


def nothing_to_score(config: EvaluateConfig, unscored: Sequence[str]) -> DataError:
    """The error of an evaluation in which nothing has a usable truth."""
    first = f", such as {unscored[0]}" if unscored else ""
    return DataError(
        f"split '{config.split}' of {config.dataset} has nothing to score by '{config.protocol}': {len(unscored)} "
        f"things have no truth{first}"
    )
