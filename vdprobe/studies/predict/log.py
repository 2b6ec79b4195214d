"""What was predicted already: a line for each expression, written once its masks lie where they belong."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pydantic

from vdprobe.errors import DataError
from vdprobe.training.checkpoint import read_rows, replace_file


@dataclass(frozen=True)
class Prediction:
    """What a head said of one expression.

    - `digest`: hash of the video's content.
    - `queries`: that were taken: one for the video, or one for each of its clips; of a single frame, all.
    - `scores`: how sure the head is of them, in [0, 1], frame by frame; of a single frame, one of each query.
    - `masks`: how many were made, `empty`: those of them without a pixel.
    - `results`: in COCO's format, of benchmarks that score single frames; empty for the others.
    """

    video: str
    expression: str
    text: str
    digest: str
    queries: tuple[int, ...]
    scores: tuple[float, ...]
    masks: int
    empty: int
    results: tuple[dict[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if not self.scores:
            raise ValueError("a prediction has a score")

    @property
    def score(self) -> float:
        """How sure the head is of it all: the mean over frames, or the surest query of a single frame."""
        return max(self.scores) if self.results else sum(self.scores) / len(self.scores)


_PREDICTION = pydantic.TypeAdapter(Prediction)
"""Not by `build`, which reads what people write: a text here may hold half of a character, as its dataset does."""


class PredictionLog:
    """The lines of a file, by video and expression; of two for the same the last one holds.

    `damaged` lines are left out: what they told of is predicted again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        rows, self.damaged = read_rows(path)
        self.found: dict[tuple[str, str], Prediction] = {}
        for row in rows:
            try:
                prediction = _PREDICTION.validate_python(row)
            except pydantic.ValidationError:
                self.damaged += 1
            else:
                self.found[prediction.video, prediction.expression] = prediction
        # A killed process leaves half a line, and the next one must not be appended to it.
        whole = "".join(map(_line, self.found.values()))
        replace_file(path, lambda part: part.write_text(whole, "utf-8"))

    def add(self, prediction: Prediction) -> None:
        """Writes a line. Raises `DataError` where the disk takes no more."""
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(prediction))
        except OSError as error:
            raise DataError(f"cannot write {self.path}: {error.strerror}; free space and run it again") from error
        self.found[prediction.video, prediction.expression] = prediction


def _line(prediction: Prediction) -> str:
    return json.dumps(asdict(prediction)) + "\n"
