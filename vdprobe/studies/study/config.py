"""A study's file: values that a user may change, and steps that use them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from vdprobe.errors import ConfigError, suggest
from vdprobe.studies.file_names import file_name

NAME = re.compile(r"[A-Za-z0-9_-]+")
_PLACE = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True, kw_only=True)
class StepConfig:
    """One step.

    - `do`: what it does, see `steps.STEPS`.
    - `each`: variable to the values it takes, a list or a mapping of names to values: the step is done once for
      each combination. The order is that of the lists, the last one running fastest.
    - `config`: what it is done with. `${name}` stands for a value of the study, a variable of `each`, or the
      folder of an earlier step, with `.` between a mapping and its key: `${dataset.path}`, `${arm.condition}`.
    """

    do: str
    each: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """A study.

    - `title`: what it asks. `values`: what `--model`, `--dataset` and `--set values.x=...` change.
    - `steps`: by name, in order; a name becomes a folder.
    """

    title: str
    values: Mapping[str, Any] = field(default_factory=dict)
    steps: Mapping[str, StepConfig]

    def __post_init__(self) -> None:
        if not self.steps:
            raise ConfigError("the study has no step; give at least one under 'steps'")
        for name in self.steps:
            if not NAME.fullmatch(name):
                raise ConfigError(f"the step '{name}' becomes a folder; name it with letters, digits, - and _")
            if name in self.values:
                raise ConfigError(f"'{name}' is both a step and a value, and ${{{name}}} could mean either; rename one")


@dataclass(frozen=True)
class Task:
    """A step for one combination of its variables.

    - `folder`: where its results go, relative to that of the study. `labels`: variable to the name of its value.
    """

    step: str
    do: str
    folder: str
    labels: Mapping[str, str]
    config: Mapping[str, Any]

    @property
    def name(self) -> str:
        """For people: `heads (arm=VD-IT, seed=1)`."""
        which = ", ".join(f"{variable}={label}" for variable, label in self.labels.items())
        return f"{self.step} ({which})" if which else self.step


def make_tasks(study: StudyConfig, root: str) -> list[Task]:
    """Every task in the order in which it is done; `root` is the study's folder.

    Raises `ConfigError` for a `${name}` that stands for nothing, and for two labels that make one folder.
    """
    tasks: list[Task] = []
    for name, step in study.steps.items():
        tasks += _tasks_of(name, step, study, tasks, root)
    folders: dict[str, Task] = {}
    for task in tasks:
        if (other := folders.setdefault(task.folder, task)) is not task:
            same = " and ".join(f"'{', '.join(one.labels.values())}'" for one in (other, task))
            raise ConfigError(f"step '{task.step}': {same} make one folder, {task.folder}; rename one")
    return tasks


def _tasks_of(name: str, step: StepConfig, study: StudyConfig, before: list[Task], root: str) -> Iterator[Task]:
    values = substitute(study.values, study.values, f"step '{name}'")
    choices = []
    for variable, levels in substitute(step.each, values, f"step '{name}'").items():
        if not isinstance(levels, Mapping | list) or not levels:
            raise ConfigError(f"step '{name}': each.{variable} must be a list or a mapping, and not empty")
        named = levels.items() if isinstance(levels, Mapping) else ((str(level), level) for level in levels)
        choices.append([(variable, str(label), level) for label, level in named])
    for chosen in product(*choices):
        labels = {variable: label for variable, label, _ in chosen}
        scope = {**values, **{variable: level for variable, _, level in chosen}}
        scope |= {f"{variable}_name": label for variable, label in labels.items()}
        scope |= {other: f"{root}/{folder}" for other, folder in _folders(before, labels).items()}
        config = substitute(step.config, scope, f"step '{name}'")
        yield Task(name, step.do, "/".join([name, *map(file_name, labels.values())]), labels, config)


def _folders(tasks: list[Task], labels: Mapping[str, str]) -> dict[str, str]:
    """Earlier steps' folders: of the task with the same labels, or the step's own where there are several."""
    out: dict[str, str] = {}
    for task in tasks:
        if all(labels.get(variable) == label for variable, label in task.labels.items()):
            out[task.step] = task.folder
        else:
            out.setdefault(task.step, task.step)
    return out


def substitute(value: Any, scope: Mapping[str, Any], where: str) -> Any:
    """`value` with every `${name}` replaced: whole strings by what it stands for, parts of strings by its text."""
    if isinstance(value, Mapping):
        return {key: substitute(inner, scope, where) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [substitute(inner, scope, where) for inner in value]
    if not isinstance(value, str):
        return value
    whole = _PLACE.fullmatch(value)
    if whole:
        return substitute(_look_up(whole[1], scope, where), scope, where)
    return _PLACE.sub(lambda place: _spelled(_look_up(place[1], scope, where), place[0], where), value)


def unused_values(given: Mapping[str, Any], study: StudyConfig) -> list[str]:
    """The places of values, `dataset.path`, that no `${name}` of the study asks for: they change nothing."""
    asked = set(_PLACE.findall(str((study.values, study.steps))))

    def unused(values: Mapping[str, Any], above: str) -> Iterator[str]:
        for key, value in values.items():
            place = f"{above}{key}"
            if place in asked:
                continue
            if not any(name.startswith(f"{place}.") for name in asked):
                yield place
            elif isinstance(value, Mapping):
                yield from unused(value, f"{place}.")

    return list(unused(given, ""))


def _spelled(value: Any, place: str, where: str) -> str:
    """A value as part of a text, as it stands in the file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    kind = "nothing" if value is None else "a mapping or a list"
    raise ConfigError(f"{where}: {place} stands for {kind}, which is no part of a text; name a text or a number")


def _look_up(name: str, scope: Mapping[str, Any], where: str) -> Any:
    found: Any = scope
    for key in name.split("."):
        if not isinstance(found, Mapping) or key not in found:
            names = list(found) if isinstance(found, Mapping) else []
            known = suggest(key, [str(n) for n in names]) if names else "it holds no names"
            raise ConfigError(f"{where}: ${{{name}}} stands for nothing: {known}")
        found = found[key]
    return found
