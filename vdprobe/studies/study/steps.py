"""What a step of a study can do: the commands, called as a library, each with a folder for its results."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vdprobe.errors import ConfigError, DataError, suggest
from vdprobe.specs.load import build
from vdprobe.studies.study.collect import CollectConfig, collect
from vdprobe.studies.study.compare import CompareConfig, compare
from vdprobe.studies.study.config import Task


@dataclass(frozen=True)
class Context:
    """What steps share.

    - `workers`: processes of a step. `tell`: shows a line of progress, with a fraction where one is known.
    """

    workers: int = 1
    tell: Callable[[str, int, int], None] | None = None

    def progress(self, doing: str) -> Callable[[int, int], None] | None:
        """A function to call with (how many are done, of how many)."""
        tell = self.tell
        return None if tell is None else (lambda done, total: tell(doing, done, total))


Step = Callable[[dict[str, Any], Path, Context], Mapping[str, Any]]
"""(configuration, the task's folder, context) to what there is to say of the result."""


@dataclass(frozen=True, kw_only=True)
class MovingShapesStep:
    """`path`: the dataset's folder; what is there already is taken as it is.

    `counts`: videos of each split, to make where nothing is; None for a dataset that cannot be made.
    """

    path: str
    counts: Mapping[str, int] | None


@dataclass(frozen=True, kw_only=True)
class EvaluateStep:
    """As the options of `vdprobe evaluate`."""

    predictions: str
    protocol: str
    dataset: str
    split: str = "valid"
    only: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PredictStep:
    """`head`: a folder of `train-head`. `config`: as the file of `vdprobe predict`; the rest is as it was trained."""

    head: str
    config: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class SubmitStep:
    """As the options of `vdprobe submit`; the zip lies in the task's folder."""

    predictions: str
    benchmark: str
    dataset: str
    split: str = "valid"


def _moving_shapes(values: dict[str, Any], folder: Path, context: Context) -> dict[str, Any]:
    from vdprobe.data.moving_shapes.write import write_moving_shapes

    step = build(MovingShapesStep, values)
    path = Path(step.path).expanduser()
    if path.exists() and any(path.iterdir()):
        return {"path": str(path), "made": 0}
    if step.counts is None:
        raise DataError(f"there is no dataset in {path}; give its folder as --dataset")
    part = path.with_name(f"{path.name}.part")  # takes its place when it is whole: a stopped one is made anew
    shutil.rmtree(part, ignore_errors=True)
    write_moving_shapes(
        part, dict(step.counts), processes=context.workers, on_progress=context.progress("making videos")
    )
    part.replace(path)
    return {"path": str(path), "made": sum(step.counts.values())}


def _analyze(values: dict[str, Any], folder: Path, context: Context) -> dict[str, Any]:
    from vdprobe.studies.analysis.by_name import ANALYSES
    from vdprobe.studies.analysis.run import Progress, run_analysis

    name = values.pop("analysis", None)
    if name not in ANALYSES:
        raise ConfigError(f"there is no analysis '{name}': {suggest(str(name), ANALYSES)}")
    analysis, tell = ANALYSES[name], context.tell
    progress = Progress()
    if tell is not None:
        progress = Progress(
            extracting=lambda what, report: tell(f"extracting, {what}", report.written + report.already, report.items),
            measuring=lambda what, done, total: tell(f"measuring, {what}", done, total),
        )
    config = build(analysis.config, values)
    found = run_analysis(analysis, config, folder, workers=context.workers, progress=progress)
    return {
        "figures": [str(path) for path in (*found.figures, *found.pictures)],
        "failures": [f"{failure.where}: {failure.error}" for failure in found.failures],
    }


def _train_adapter(values: dict[str, Any], folder: Path, context: Context) -> dict[str, Any]:
    from vdprobe.training.adapter_training import train_adapter
    from vdprobe.training.config import parse_training_config

    config = parse_training_config(values)
    tell = context.progress("training")
    made = train_adapter(
        config, folder, on_step=None if tell is None else lambda row, before: tell(row["step"], config.steps)
    )
    return {"adapter": str(made.adapter), "j": made.j, "notes": list(made.notes)}


def _train_head(values: dict[str, Any], folder: Path, context: Context) -> dict[str, Any]:
    from vdprobe.training.head_config import parse_head_config
    from vdprobe.training.head_training import train_head

    config = parse_head_config(values)
    extracting, training = context.progress("extracting"), context.progress("training")
    made = train_head(
        config,
        folder,
        fill=True,
        on_extract=None if extracting is None else lambda r: extracting(r.written + r.already, r.items),
        on_step=None if training is None else lambda row, before: training(row["step"], config.steps),
    )
    return {"scores": made.scores, "loss": made.loss, "notes": list(made.notes), "waiting": made.waiting}


def _predict(values: dict[str, Any], folder: Path, context: Context) -> dict[str, Any]:
    from vdprobe.studies.predict.config import parse_predict_config
    from vdprobe.studies.predict.head_folder import find_head
    from vdprobe.studies.predict.run import run_prediction

    step = build(PredictStep, values)
    found = find_head(step.head)
    extracting, predicting = context.progress("extracting"), context.progress("predicting")
    made = run_prediction(
        parse_predict_config(step.config, found),
        found,
        folder,
        on_extract=None if extracting is None else lambda r: extracting(r.written + r.already, r.items),
        on_predict=None if predicting is None else lambda now, all_, before: predicting(now + before, all_),
    )
    return {"places": [str(place) for place in made.places], "failures": [f.where for f in made.failures]}


def _evaluate(values: dict[str, Any], folder: Path, context: Context) -> dict[str, Any]:
    from vdprobe.studies.evaluate import EvaluateConfig, run_evaluation, write_report

    step = build(EvaluateStep, values)
    config = EvaluateConfig(
        protocol=step.protocol,
        predictions=Path(step.predictions),
        dataset=Path(step.dataset),
        split=step.split,
        only=step.only,
    )
    report = run_evaluation(config, workers=context.workers, on_progress=context.progress("scoring"))
    write_report(report, config, folder)
    return {"scores": dict(report.scores), "missing": list(report.missing), "unscored": list(report.unscored)}


def _submit(values: dict[str, Any], folder: Path, context: Context) -> dict[str, Any]:
    from vdprobe.studies.submit import write_submission

    step = build(SubmitStep, values)
    path = folder / "submission.zip"
    path.unlink(missing_ok=True)  # of a run that was stopped before the task was marked as done
    made = write_submission(
        Path(step.predictions),
        step.benchmark,
        path,
        dataset=Path(step.dataset).expanduser(),
        split=step.split,
        workers=context.workers,
        on_progress=context.progress("checking"),
    )
    if made.faults:
        faults = [f"{fault.kind}: {fault.first} ({fault.count} in all), {fault.remedy}" for fault in made.faults]
        raise DataError(f"{path} is not written, its masks have faults: {'; '.join(faults)}")
    return {"zip": str(path), "masks": made.masks, "left_out": list(made.left_out), "notes": list(made.notes)}


def _collect(values: dict[str, Any], folder: Path, context: Context) -> dict[str, Any]:
    return {"figures": [str(path) for path in collect(build(CollectConfig, values), folder)]}


def _compare(values: dict[str, Any], folder: Path, context: Context) -> dict[str, Any]:
    return {"table": str(compare(build(CompareConfig, values), folder))}


def _levels(values: dict[str, Any], folder: Path, context: Context) -> dict[str, Any]:
    from vdprobe.studies.study.levels import LevelsConfig, collect_levels

    return {"figures": [str(path) for path in collect_levels(build(LevelsConfig, values), folder)]}


STEPS: dict[str, Step] = {
    "moving-shapes": _moving_shapes,
    "train-adapter": _train_adapter,
    "train-head": _train_head,
    "predict": _predict,
    "analyze": _analyze,
    "submit": _submit,
    "evaluate": _evaluate,
    "collect": _collect,
    "compare": _compare,
    "levels": _levels,
}


MAKERS = ("moving-shapes",)
"""Those whose `path` is what they make: they are done where it is there, and are made from nothing."""


def check_steps(tasks: Iterable[Task]) -> None:
    """Raises `ConfigError` for a step that does nothing known."""
    for task in tasks:
        if task.do not in STEPS:
            raise ConfigError(f"step '{task.step}' does '{task.do}', which is unknown: {suggest(task.do, STEPS)}")
