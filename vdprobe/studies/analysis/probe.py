"""Linear probes of every tap: object or background, which object the text means, and words for what objects are."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vdprobe.analyses.probes import ProbeRow, VideoCells, linear_probe, relabel, sample_cells
from vdprobe.data.object_attributes import object_attributes
from vdprobe.data.video import Failure
from vdprobe.errors import ConfigError, DataError, VdprobeError, suggest
from vdprobe.extraction.clip_work import ClipWork
from vdprobe.store.store import FeatureStore
from vdprobe.studies.analysis.analysis import Analysis, Gather, Rows
from vdprobe.studies.analysis.cell_figures import draw_cells
from vdprobe.studies.analysis.cells import Cell, View, cells_of, open_item
from vdprobe.studies.analysis.config import AnalysisConfig
from vdprobe.studies.analysis.places import Meaning, Places, find_places
from vdprobe.studies.analysis.tables import Tables

OBJECT, INSTANCE = "object", "instance"
SCORES = {"accuracy": "balanced accuracy", "auc": "area under the ROC curve"}
QUESTIONS = {
    OBJECT: "does a place show an object, or the background",
    INSTANCE: "does a place of an object belong to the one that the text means (features without a text cannot know)",
}
REAL, SHUFFLED = "real", "shuffled"


@dataclass(frozen=True, kw_only=True)
class ProbeConfig(AnalysisConfig):
    """What a linear probe is asked.

    - `tasks`: `object` (any object, or background), `instance` (the object that the text means, or another one of
      the video), or what the dataset has words for, such as `category`: the word for an object. Under a
      condition with text the words may stand in the text: compare with one that has none.
    - `places`: at most so many of each class in a video, drawn over all its texts. All that are drawn in one cell
      are in memory together: 4 bytes a channel.
    - `folds`: of the cross-validation, in which no two share a video. A word that fewer videos show is left out.
    """

    tasks: tuple[str, ...] = (OBJECT, INSTANCE)
    places: int = 24
    folds: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.places < 1 or self.folds < 2:
            raise ConfigError(f"places (={self.places}) must be at least 1 and folds (={self.folds}) at least 2")
        if not self.tasks:
            raise ConfigError(f"tasks is empty; name {OBJECT}, {INSTANCE} or what the dataset has words for")

    @property
    def attributes(self) -> tuple[str, ...]:
        """The tasks that ask for a word of the dataset."""
        return tuple(task for task in self.tasks if task not in QUESTIONS)


def units(views: Sequence[View], config: ProbeConfig) -> list[tuple[Cell, ...]]:
    """Each cell by itself."""
    return [(cell,) for view in views for spec in view.specs for cell in cells_of(view, spec)]


def rows(unit: tuple[Cell, ...], store: FeatureStore, config: ProbeConfig) -> Iterator[Rows]:
    """For each task, score and kind of labels a value for each video, from probes that have not seen it."""
    (cell,) = unit
    words = {task: _words(task, cell.view.clips) for task in config.attributes}
    drawn: dict[str, list[VideoCells]] = {task: [] for task in config.tasks}
    lacks: list[Failure] = []
    clips = Counter(clip.video.id for clip in cell.view.clips)
    for clip in cell.view.clips:
        try:
            for task, part in list(_draw(cell, clip, clips[clip.video.id], store, config, words, lacks)):
                drawn[task].append(part)
        except VdprobeError as error:
            lacks.append(Failure(f"{clip.name}, {cell.label}", str(error)))
    yield [], lacks
    for task in list(drawn):
        lacks = []
        usable = _usable(task, drawn.pop(task), words.get(task, ()), config.folds, lacks)
        try:
            scores = linear_probe(usable, folds=config.folds, seed=config.features.seed).rows if usable else ()
        except DataError as error:
            yield [], [*lacks, Failure(f"{task} at {cell.label}", str(error))]
            continue
        yield list(_table_rows(cell, task, scores)), lacks


def draw(tables: Tables, config: ProbeConfig, folder: Path) -> list[Path]:
    """For each task a dot for each tap, condition and control, beside what the probe finds in shuffled labels."""
    paths = []
    known = tables.summary[tables.summary["count"] > 1]
    for task in config.tasks:
        # a video may show one word alone, and one class has no curve
        score = "auc" if task in QUESTIONS else "accuracy"
        rows = known[(known["task"] == task) & (known["score"] == score)]
        if rows.empty:
            continue
        question = QUESTIONS.get(task, f"the {task} of the object that a place shows")
        paths += draw_cells(
            rows[rows["labels"] == REAL],
            tables,
            config,
            folder / f"probe-{task}.pdf",
            axis=SCORES[score],
            line=("chance", 0.5) if task in QUESTIONS else None,
            caption=f"Linear probes: {question}. A video is tested by a probe that has not seen it.",
            floors=rows[rows["labels"] == SHUFFLED],
            floor="the same probe of shuffled labels",
        )
    return paths


def _draw(
    cell: Cell,
    clip: ClipWork,
    clips: int,
    store: FeatureStore,
    config: ProbeConfig,
    words: Mapping[str, tuple[str, ...]],
    lacks: list[Failure],
) -> Iterator[tuple[str, VideoCells]]:
    """(task, places) of a clip, one of so many of its video."""
    if cell.spec.uses_text and not clip.texts:
        return  # said by the plan
    item = open_item(store, cell.spec, clip, clip.texts[0] if clip.texts else None)
    places, missing = find_places(cell, clip, item)
    lacks += missing
    if places is None:
        return
    for task in config.tasks:
        # what no text has a part in is asked for each text too, which of the objects it means
        meanings = places.meanings if task == INSTANCE else places.of(cell)
        for meaning in meanings:
            features = cell.look(open_item(store, cell.spec, clip, meaning.text))[1]
            classes = relabel(places.labels, _classes(task, places, meaning, clip, words.get(task, ())))
            count = -(-config.places // (clips * len(meanings)))
            name = f"{clip.name}/{meaning.expression}"
            part = sample_cells(features, classes, name, count=count, seed=config.features.seed)
            yield task, replace(part, video=clip.video.id)


def _classes(task: str, places: Places, meaning: Meaning, clip: ClipWork, words: tuple[str, ...]) -> dict[int, int]:
    """The class of each object's number; those without one are left out."""
    numbers = range(1, len(places.objects) + 1)
    if task == OBJECT:
        return {0: 0} | dict.fromkeys(numbers, 1)
    if task == INSTANCE:
        return {number: int(number in meaning.targets) for number in numbers}
    known = object_attributes(clip.video)
    said = {number: known.get(places.objects[number - 1], {}).get(task) for number in numbers}
    return {number: words.index(word) for number, word in said.items() if word is not None}


def _words(task: str, clips: Sequence[ClipWork]) -> tuple[str, ...]:
    """All words of an attribute; raises `ConfigError` where no object has one."""
    objects = [said for clip in clips for said in object_attributes(clip.video).values()]
    words = sorted({said[task] for said in objects if task in said})
    if not words:
        valid = dict.fromkeys([OBJECT, INSTANCE, *(name for said in objects for name in said)])
        raise ConfigError(f"task '{task}' is no word that the dataset has for its objects: {suggest(task, valid)}")
    return tuple(words)


def _usable(
    task: str, parts: Sequence[VideoCells], words: tuple[str, ...], folds: int, lacks: list[Failure]
) -> list[VideoCells]:
    """The places of videos that ask the question, of classes that are shown often enough."""
    shown: dict[str, set[int]] = {}
    for part in parts:
        shown.setdefault(part.video, set()).update(part.classes.tolist())
    if not words:
        return [part for part in parts if len(shown[part.video]) > 1]
    kept = []
    for number, word in enumerate(words):
        count = sum(number in classes for classes in shown.values())
        if count >= folds:
            kept.append(number)
        else:
            why = f"is left out: too few videos show it ({count}), the {folds} folds need one each"
            lacks.append(Failure(f"{task} '{word}'", why))
    chosen = [np.isin(part.classes, kept) for part in parts]
    return [
        VideoCells(part.video, part.features[mask], part.classes[mask])
        for part, mask in zip(parts, chosen, strict=True)
        if mask.any()
    ]


def _table_rows(cell: Cell, task: str, scores: Sequence[ProbeRow]) -> Iterator[dict[str, Any]]:
    known = {(row.video, row.control): row for row in scores}
    for video in dict.fromkeys(clip.video.id for clip in cell.view.clips):
        for control, labels in ((False, REAL), (True, SHUFFLED)):
            row = known.get((video, control))
            for score in SCORES:
                value = getattr(row, score) if row is not None else np.nan
                keys = {"task": task, "score": score, "labels": labels}
                yield cell.names | {"video": video} | keys | {"value": value}


def headline(summary: pd.DataFrame) -> pd.DataFrame:
    """What is read of real labels: by the curve where it is there, else by accuracy."""
    asked = np.where(summary["task"].isin(QUESTIONS), "auc", "accuracy")
    return summary[(summary["labels"] == REAL) & (summary["score"] == asked)]


PROBE = Analysis(
    name="probe",
    config=ProbeConfig,
    keys=("task", "score", "labels"),
    factors=("backbone", "condition", "noise", "timestep", "labels"),
    measure=Gather(units, rows),
    draw=draw,
    headline=headline,
)
