"""What a prediction left in its folder."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vdprobe.data.video import Failure
from vdprobe.studies.predict.log import Prediction
from vdprobe.studies.predict.mask_files import Benchmark
from vdprobe.studies.submit import Submission


@dataclass(frozen=True)
class Predicted:
    """What a run left in its folder.

    - `predictions`: all that are there of what was asked for; `already`: how many of them an earlier run made.
    - `notes`: what a reader of the masks should know.
    - `places`: what `vdprobe evaluate` takes: folders of masks, or the JSON of results.
    - `pictures`: a sheet and films. `submission`: None where no zip was asked for.
    - `record`: the file that tells all of it.
    """

    record: Path
    benchmark: Benchmark
    predictions: tuple[Prediction, ...]
    already: int
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]
    places: tuple[Path, ...]
    pictures: tuple[Path, ...]
    submission: Submission | None
    seconds: float

    @property
    def counts(self) -> dict[str, int]:
        """How much was predicted, and how much of it is empty."""
        return {
            "videos": len({prediction.video for prediction in self.predictions}),
            "expressions": len(self.predictions),
            "masks": sum(prediction.masks for prediction in self.predictions),
            "empty_masks": sum(prediction.empty for prediction in self.predictions),
            "expressions_never_marked": sum(p.empty == p.masks for p in self.predictions),
        }

    @property
    def ok(self) -> bool:
        """Whether everything was predicted, and the zip, if one was asked for, has no fault."""
        return not self.failures and not (self.submission and self.submission.faults)

    def to_plain(self) -> dict[str, Any]:
        """For JSON: all but the run lengths of results."""
        rows = [
            {name: value for name, value in asdict(prediction).items() if name not in ("results", "digest")}
            | {"score": prediction.score}
            for prediction in self.predictions
        ]
        return {
            "benchmark": self.benchmark,
            "counts": self.counts,
            "already": self.already,
            "failures": [{"where": failure.where, "error": failure.error} for failure in self.failures],
            "notes": list(self.notes),
            "places": [str(place) for place in self.places],
            "pictures": [str(picture) for picture in self.pictures],
            "zip": None if self.submission is None else asdict(self.submission) | {"path": str(self.submission.path)},
            "seconds": round(self.seconds, 3),
            "expressions": rows,
        }
