"""Runs a study: what is done stays done, what was stopped goes on.

In its folder: `study.json` (the resolved study and the environment), and a folder for each task, in which
`inputs.json` says what it is made from, by content, and `done.json` that it is whole and what it was done with.
"""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vdprobe.data.hold import hold
from vdprobe.data.text_files import read_json
from vdprobe.errors import ConfigError
from vdprobe.specs.canonical import canonical_hash, to_plain
from vdprobe.specs.environment import environment
from vdprobe.specs.load import build
from vdprobe.studies.processes import kept_processes
from vdprobe.studies.study.config import StudyConfig, Task, make_tasks
from vdprobe.studies.study.inputs import InputReader, Inputs, changed
from vdprobe.studies.study.steps import MAKERS, STEPS, Context, check_steps
from vdprobe.training.checkpoint import replace_file

RECORD, DONE, INPUTS = "study.json", "done.json", "inputs.json"


@dataclass(frozen=True)
class TaskState:
    """A task and whether it is done; `seconds` is what it took, 0 where it is not done.

    - `changed`: what it was made from and is another now, so that it must be made again.
    """

    task: Task
    done: bool
    seconds: float
    changed: tuple[str, ...] = ()


def plan_study(values: dict[str, Any], out: Path) -> tuple[StudyConfig, list[TaskState]]:
    """The study of a file's values, and what of it is done in `out`; does nothing.

    What is made from a task that is left counts as left too, though it stays where that gives what it gave before.

    Raises `ConfigError` for an unknown key, step or `${name}`.
    """
    study = build(StudyConfig, values)
    tasks = make_tasks(study, str(out))
    check_steps(tasks)
    reader = InputReader(str(out))
    states: list[TaskState] = []
    for task in tasks:
        state = _state(task, out, reader)
        behind = [f"{out}/{other.task.folder}" for other in states if not other.done]
        if state.done and any(
            _holds(place, path) for path in reader.look(task.config, _read(task, out)) for place in behind
        ):
            state = TaskState(task, False, 0.0)
        states.append(state)
    return study, states


def run_study(
    values: dict[str, Any],
    out: Path,
    *,
    workers: int = 1,
    on_task: Callable[[int, int, Task], None] | None = None,
    on_changed: Callable[[Task, Sequence[str]], None] | None = None,
    context: Context | None = None,
) -> list[TaskState]:
    """Does what is left. Raises what a task raises; everything before it stays done. One process works in `out`.

    A task whose inputs have another content than when it was made is made again, from nothing.

    - `on_task`: told the number of a task, of how many, and the task, before it is done.
    - `on_changed`: told before that which inputs of a task that was done or begun have changed.
    """
    study, states = plan_study(values, out)
    with hold(out):
        return _run(study, states, out, on_task, on_changed, context or Context(workers=workers))


def _run(
    study: StudyConfig,
    states: Sequence[TaskState],
    out: Path,
    on_task: Callable[[int, int, Task], None] | None,
    on_changed: Callable[[Task, Sequence[str]], None] | None,
    context: Context,
) -> list[TaskState]:
    record = {"study": to_plain(study), **environment()}
    replace_file(out / RECORD, lambda part: part.write_text(json.dumps(record, indent=2), "utf-8"))
    reader = InputReader(str(out))
    done = []
    with kept_processes(context.workers):
        for number, planned in enumerate(states, start=1):
            state = _state(planned.task, out, reader)  # again: those before it may have given something else
            if state.changed and on_changed is not None:
                on_changed(state.task, state.changed)
            if not state.done and on_task is not None:
                on_task(number, len(states), state.task)
            done.append(state if state.done else _do(state, out, context, reader))
            _keep_inputs(state.task, out, reader)
    return done


def _do(state: TaskState, out: Path, context: Context, reader: InputReader) -> TaskState:
    task, folder = state.task, out / state.task.folder
    began = time.monotonic()
    if state.changed:  # what lies there is of other inputs, in part or whole
        with hold(folder):  # which a command of its own may be at work in
            shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _keep_inputs(task, out, reader)
    result = STEPS[task.do](dict(task.config), folder, context)
    seconds = round(time.monotonic() - began, 1)
    value = {"key": _key(task), "config": to_plain(task.config), "seconds": seconds, "result": result}
    replace_file(folder / DONE, partial(_write, value))
    return TaskState(task, True, seconds)


def _keep_inputs(task: Task, out: Path, reader: InputReader) -> None:
    """Writes down what a task is made from, where nothing says so: before it is begun, and of older studies."""
    path = out / task.folder / INPUTS
    if not path.exists() and task.do not in MAKERS:
        replace_file(path, partial(_write, reader.look(task.config)))


def _write(value: Any, path: Path) -> None:
    path.write_text(json.dumps(value, indent=2, default=str), "utf-8")


def _read(task: Task, out: Path) -> Inputs | None:
    """What a task was made from, None where nothing says so."""
    path = out / task.folder / INPUTS
    found = read_json(path) if path.exists() else None
    return found if isinstance(found, dict) else None


def _state(task: Task, out: Path, reader: InputReader) -> TaskState:
    path = out / task.folder / DONE
    found = read_json(path) if path.exists() else None
    if found is not None and (not isinstance(found, dict) or found.get("key") != _key(task)):
        raise ConfigError(
            f"{out / task.folder} was done with another configuration; give another --out, or remove that folder"
        )
    if task.do in MAKERS:
        done = found is not None and Path(str(task.config.get("path"))).expanduser().exists()
    else:
        before = _read(task, out)
        if before is not None and (other := changed(before, reader.look(task.config, before))):
            return TaskState(task, False, 0.0, tuple(other))
        done = found is not None
    return TaskState(task, done, float(found.get("seconds", 0)) if done and found else 0.0)


def _holds(place: str, path: str) -> bool:
    """Whether a path is that of a task's folder, in it, or above it."""
    return f"{path}/".startswith(f"{place}/") or f"{place}/".startswith(f"{path}/")


def _key(task: Task) -> str:
    return canonical_hash({"do": task.do, "config": dict(task.config)})
