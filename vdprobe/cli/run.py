"""`vdprobe run`: a whole study from its file; the same command again goes on where it was."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vdprobe.cli.options import Json, Set
from vdprobe.cli.output import LINE_EVERY, human_seconds, print_json, print_table, say

if TYPE_CHECKING:
    from vdprobe.studies.study.config import StudyConfig, Task


def run(
    study: Annotated[Path, typer.Argument(help="YAML file of a study, such as experiments/consistency.yaml.")],
    model: Annotated[str | None, typer.Option(help="Another model in place of the study's (values.model).")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Another dataset folder in place of the study's (values.dataset.path).")
    ] = None,
    values: Annotated[
        Path | None, typer.Option(help="YAML file of further values, such as those of a real model and dataset.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for all results; runs/NAME if not given.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one a core if not given.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is done and what is left, and stop.")] = False,
    as_json: Json = False,
    assignments: Set = None,
) -> None:
    """Do what is left of a study: extract, train, predict, score, analyze, draw."""
    from vdprobe.specs.load import merge, parse_assignments, read_yaml
    from vdprobe.studies.report.write import report_folder
    from vdprobe.studies.study.run import plan_study, run_study
    from vdprobe.studies.study.steps import Context
    from vdprobe.training.memory import keep_freed_memory

    keep_freed_memory()
    given: dict[str, Any] = read_yaml(study)
    if values is not None:
        given = merge(given, {"values": read_yaml(values)})
    if model is not None:
        given = merge(given, {"values": {"model": model}})
    if dataset is not None:
        given = merge(given, {"values": {"dataset": {"path": dataset}}})
    set_ = parse_assignments(assignments or ())
    given = merge(given, set_)
    folder = out or Path("runs") / study.stem
    config, states = plan_study(given, folder)
    of_file = read_yaml(values) if values is not None else {}
    options = {
        "--model": {} if model is None else {"model": model},
        "--dataset": {} if dataset is None else {"dataset": {"path": dataset}},
        "--set values": set_.get("values"),
    }
    _check_use(config, options, of_file)
    left = [state for state in states if not state.done]
    say(f"{config.title}: {len(states) - len(left)} of {len(states)} tasks are done in {folder}")
    if dry_run:
        rows = [(s.task.name, s.task.do, human_seconds(s.seconds) if s.done else "left") for s in states]
        if as_json:
            print_json([{"task": name, "do": do, "state": state} for name, do, state in rows])
        else:
            print_table(("task", "does", "done in"), rows)
        return
    context = Context(workers=workers or os.cpu_count() or 1, tell=_Lines())
    try:
        done = run_study(given, folder, on_task=_announce, on_changed=_tell_changed, context=context)
    except KeyboardInterrupt:
        say("interrupted: run the same command again to go on")
        raise typer.Exit(130) from None
    say(f"report: {report_folder(folder)}")
    if as_json:
        print_json([{"task": s.task.name, "folder": str(folder / s.task.folder), "seconds": s.seconds} for s in done])
        return
    print_table(("task", "seconds", "folder"), [(s.task.name, s.seconds, folder / s.task.folder) for s in done])


def _check_use(config: "StudyConfig", options: dict[str, Any], of_file: dict[str, Any]) -> None:
    """Raises `ConfigError` for an option that changes nothing; of a file, which may be for several studies, a note."""
    from vdprobe.errors import ConfigError, suggest
    from vdprobe.studies.study.config import unused_values

    if unused := unused_values(of_file, config):
        say(f"note: the study has no use for these of the values: {', '.join(unused)}")
    for option, given in options.items():
        if isinstance(given, dict) and (unused := unused_values(given, config)):
            known = suggest(unused[0], [name for name in config.values if name not in unused])
            raise ConfigError(f"{option} gives '{unused[0]}', for which the study has no use: {known}")


def _announce(number: int, count: int, task: "Task") -> None:
    say(f"[{number}/{count}] {task.name}")


def _tell_changed(task: "Task", inputs: "Sequence[str]") -> None:
    more = f" and {len(inputs) - 1} more" if len(inputs) > 1 else ""
    say(f"{task.name} is made again, from nothing: {inputs[0]}{more} changed since")


class _Lines:
    """A line at the end of each piece of work, and every ten seconds before it."""

    def __init__(self) -> None:
        self.said = 0.0

    def __call__(self, doing: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done == total or now - self.said > LINE_EVERY:
            self.said = now
            say(f"    {doing}: {done}/{total}")
