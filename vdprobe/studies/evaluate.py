"""Predictions on disk to a report: scores what they are of, in several processes, and writes what came out."""

import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from os.path import exists
from pathlib import Path
from typing import Any

from vdprobe.errors import DataError
from vdprobe.metrics.protocols.by_name import find_protocol
from vdprobe.metrics.protocols.protocol import Report, make_report
from vdprobe.metrics.protocols.samples import ImageSample
from vdprobe.metrics.protocols.tracks import Track
from vdprobe.studies.evaluate_images import image_work
from vdprobe.studies.evaluate_videos import video_work
from vdprobe.studies.evaluation import EvaluateConfig, nothing_to_score
from vdprobe.studies.processes import spread
from vdprobe.training.checkpoint import replace_file

__all__ = ["EvaluateConfig", "run_evaluation", "write_report"]


def run_evaluation(
    config: EvaluateConfig, *, workers: int = 1, on_progress: Callable[[int, int], None] | None = None
) -> Report:
    """The report of a protocol; the same for any number of `workers`, which are processes of their own.

    `on_progress` gets (videos scored, all of them), or images. With several workers a script must guard
    its main code, as `multiprocessing` asks. Raises `DataError` when no prediction is where it should
    be, or one cannot be read or would be refused by the benchmark.
    """
    protocol = find_protocol(config.protocol)
    if not exists(config.predictions):
        raise DataError(f"there is no {config.predictions}; give the folder, zip or JSON of your predictions")
    work = image_work(config) if protocol.samples is ImageSample else video_work(config)
    made = list(spread(work.score, work.jobs, chunk=work.chunk, workers=workers, on_progress=on_progress))
    records = [record for scored in made for record in scored.records]
    unscored = [*work.unscored, *(line for scored in made for line in scored.unscored)]
    if not records and unscored:
        raise nothing_to_score(config, unscored)
    notes = [*_blank(records), *_told(fact for scored in made for fact in scored.facts)]
    return make_report(protocol, records, extra=work.extra, unscored=unscored, notes=notes)


def _blank(records: list[Any]) -> Iterator[str]:
    """What to say of objects that no mask shows. Raises `DataError` when that is all of them."""
    tracks = [record for record in records if isinstance(record, Track)]
    blank = [track for track in tracks if track.object and not track.truth_area.any()]
    if not blank:
        return
    first = f"{blank[0].video}/{blank[0].expression}".rstrip("/")
    if len(blank) == len(tracks):
        raise DataError(
            f"no mask of the dataset shows what is asked for, such as object {blank[0].object} of {first}: "
            "do the masks hold the object's number as pixel value?"
        )
    yield f"{len(blank)} of {len(tracks)} objects are in no mask of their video, and scored so; the first is {first}"


def _told(facts: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Each fact once, with the number of videos that it is of, and the first."""
    by_fact: dict[str, list[str]] = {}
    for fact, video in facts:
        by_fact.setdefault(fact, []).append(video)
    for fact, videos in by_fact.items():
        yield f"{fact}: {len(videos)} videos, the first is {videos[0]}"


def write_report(report: Report, config: EvaluateConfig, folder: Path) -> tuple[Path, Path]:
    """`report.json`, with the configuration, and `rows.csv` in a folder that is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        summary, rows = folder / "report.json", folder / "rows.csv"
        plain = {
            **report.to_plain(),
            "predictions": str(config.predictions),
            "dataset": str(config.dataset),
            "split": config.split,
            "only": list(config.only),
            **({"difficulty": config.difficulty} if config.difficulty is not None else {}),
        }
        # ids may hold halves of characters, which UTF-8 has not
        text = json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
        for path, content in ((rows, report.to_csv()), (summary, text)):
            replace_file(path, partial(Path.write_text, data=content, encoding="utf-8", errors="backslashreplace"))
    except OSError as error:
        raise DataError(f"cannot write to {folder}: {error.strerror}; give another --out") from error
    return summary, rows
