"""Folders of `vdprobe run`: what they hold, and from which model and videos a result in them came."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vdprobe.data.text_files import read_json
from vdprobe.errors import ConfigError, DataError
from vdprobe.specs.load import build
from vdprobe.studies.study.config import StudyConfig, Task, make_tasks
from vdprobe.studies.study.run import RECORD
from vdprobe.studies.study.steps import EvaluateStep


@dataclass(frozen=True)
class FoundStudy:
    """A study that was run.

    - `name`: its folder, below what all found studies share.
    - `tasks`: resolved from its record, with `folder` as it is now in their paths.
    """

    folder: Path
    name: str
    title: str
    tasks: tuple[Task, ...]


def find_studies(places: Sequence[Path]) -> list[FoundStudy]:
    """Those in the places, each the folder of a study or of several, by name.

    Raises `DataError` for a place that holds none, or a record that cannot be read.
    """
    folders: set[Path] = set()
    for place in places:
        inside = [place] if (place / RECORD).is_file() else [path.parent for path in place.glob(f"*/{RECORD}")]
        if not inside:
            raise DataError(f"{place} holds no study ({RECORD}); give folders that `vdprobe run` wrote, or one of such")
        folders |= {path.resolve() for path in inside}
    shared = os.path.commonpath([folder.parent for folder in folders])
    return [_read(folder, folder.relative_to(shared).as_posix()) for folder in sorted(folders)]


def _read(folder: Path, name: str) -> FoundStudy:
    path = folder / RECORD
    try:
        study = build(StudyConfig, read_json(path)["study"])
        return FoundStudy(folder, name, study.title, tuple(make_tasks(study, str(folder))))
    except (ConfigError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a record as `vdprobe run` writes it ({error}); run the study again") from error


def tasks_at(place: str, studies: Sequence[FoundStudy]) -> list[Task]:
    """Tasks whose results lie at a place, around it, or one level below it, as an arm's seeds do."""
    path = Path(place).expanduser().resolve()
    found = []
    for study in studies:
        for task in study.tasks:
            folder = study.folder / task.folder
            if folder == path or folder in path.parents or folder.parent == path:
                found.append(task)
    return found


def makers(place: str, studies: Sequence[FoundStudy]) -> list[Task]:
    """The tasks behind results at a place: scores, the masks they are of, and the heads that predicted these."""
    found = tasks_at(place, studies)
    for task in list(found):
        for key in ("predictions", "head"):
            if isinstance(task.config.get(key), str):
                found += makers(task.config[key], studies)
    return found


def models_behind(place: str, studies: Sequence[FoundStudy]) -> list[str]:
    """The models whose features results at a place came from; none where no task of the studies names one."""
    features = (task.config.get("config", task.config).get("features", {}) for task in makers(place, studies))
    named = (asked.get("model", {}).get("pipeline") for asked in features)
    return list(dict.fromkeys(str(name) for name in named if name))


def heads_behind(place: str, studies: Sequence[FoundStudy]) -> list[str]:
    """The heads behind results at a place that none of the studies trained, such as a published one."""
    heads = (str(task.config["head"]) for task in makers(place, studies) if task.do == "predict")
    return list(dict.fromkeys(head for head in heads if not tasks_at(head, studies)))


def videos_scored(place: str, studies: Sequence[FoundStudy]) -> list[str]:
    """The datasets and splits of the evaluations at a place."""
    steps = [build(EvaluateStep, task.config) for task in tasks_at(place, studies) if task.do == "evaluate"]
    return list(dict.fromkeys(f"{step.dataset}, {step.split}" for step in steps))
