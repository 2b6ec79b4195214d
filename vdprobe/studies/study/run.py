"""Runs a study: what is done stays done, what was stopped goes on.

In its folder: `study.json` (the resolved study and the environment), and a folder for each task, in which
`done.json` says that it is whole and what it was done with.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vdprobe.data.text_files import read_json
from vdprobe.errors import ConfigError
from vdprobe.specs.canonical import canonical_hash, to_plain
from vdprobe.specs.environment import environment
from vdprobe.specs.load import build
from vdprobe.studies.processes import kept_processes
from vdprobe.studies.study.config import StudyConfig, Task, make_tasks
from vdprobe.studies.study.steps import STEPS, Context, check_steps
from vdprobe.training.checkpoint import replace_file

RECORD, DONE = "study.json", "done.json"


@dataclass(frozen=True)
class TaskState:
    """A task and whether it is done; `seconds` is what it took, 0 where it is not done."""

    task: Task
    done: bool
    seconds: float


def plan_study(values: dict[str, Any], out: Path) -> tuple[StudyConfig, list[TaskState]]:
    """The study of a file's values, and what of it is done in `out`; does nothing.

    Raises `ConfigError` for an unknown key, step or `${name}`.
    """
    study = build(StudyConfig, values)
    tasks = make_tasks(study, str(out))
    check_steps(tasks)
    return study, [_state(task, out) for task in tasks]


def run_study(
    values: dict[str, Any],
    out: Path,
    *,
    workers: int = 1,
    on_task: Callable[[int, int, Task], None] | None = None,
    context: Context | None = None,
) -> list[TaskState]:
    """Does what is left. Raises what a task raises; everything before it stays done.

    - `on_task`: told the number of a task, of how many, and the task, before it is done.
    """
    study, states = plan_study(values, out)
    context = context or Context(workers=workers)
    out.mkdir(parents=True, exist_ok=True)
    record = {"study": to_plain(study), **environment()}
    replace_file(out / RECORD, lambda part: part.write_text(json.dumps(record, indent=2), "utf-8"))
    done = []
    with kept_processes(context.workers):
        for number, state in enumerate(states, start=1):
            if not state.done and on_task is not None:
                on_task(number, len(states), state.task)
            done.append(state if state.done else _do(state.task, out, context))
    return done


def _do(task: Task, out: Path, context: Context) -> TaskState:
    began = time.monotonic()
    folder = out / task.folder
    folder.mkdir(parents=True, exist_ok=True)
    result = STEPS[task.do](dict(task.config), folder, context)
    seconds = round(time.monotonic() - began, 1)
    value = {"key": _key(task), "config": to_plain(task.config), "seconds": seconds, "result": result}
    replace_file(folder / DONE, partial(_write, value))
    return TaskState(task, True, seconds)


def _write(value: Any, path: Path) -> None:
    path.write_text(json.dumps(value, indent=2, default=str), "utf-8")


def _state(task: Task, out: Path) -> TaskState:
    path = out / task.folder / DONE
    found = read_json(path) if path.exists() else None
    if not isinstance(found, dict) or found.get("key") != _key(task):
        if found is not None:
            raise ConfigError(
                f"{out / task.folder} was done with another configuration; give another --out, or remove that folder"
            )
        return TaskState(task, False, 0.0)
    return TaskState(task, True, float(found.get("seconds", 0)))


def _key(task: Task) -> str:
    return canonical_hash({"do": task.do, "config": dict(task.config)})
