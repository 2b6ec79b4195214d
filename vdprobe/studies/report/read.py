"""From the folder of a study or an analysis to what a report says of it."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from vdprobe.data.text_files import read_json
from vdprobe.errors import DataError
from vdprobe.specs.load import build
from vdprobe.studies.analysis.run import RECORD as ANALYSIS
from vdprobe.studies.report.document import Lack, Report, Section
from vdprobe.studies.report.steps import analysis_section, step_lacks, step_notes, step_section
from vdprobe.studies.study.config import StudyConfig, make_tasks
from vdprobe.studies.study.run import DONE
from vdprobe.studies.study.run import RECORD as STUDY


def read_report(folder: Path) -> Report:
    """The report of a folder of `vdprobe run` or `vdprobe analyze`.

    Commands name the folder as seen from the one above it: where it lies on this machine is not in a report.

    Raises `DataError` for a folder that holds neither.
    """
    if (folder / STUDY).is_file():
        return _study(folder)
    if (folder / ANALYSIS).is_file():
        return _analysis(folder)
    raise DataError(
        f"{folder} holds neither a study nor an analysis; give a folder of `vdprobe run` or of `vdprobe analyze`"
    )


def _study(folder: Path) -> Report:
    record = _mapping(folder / STUDY)
    study = build(StudyConfig, record.get("study") or {})
    name = _name(folder)
    command = f"vdprobe run {name}.yaml"
    sections: list[Section] = []
    lacks: list[Lack] = []
    notes: list[str] = []
    left = []
    for task in make_tasks(study, str(folder)):
        place = folder / task.folder
        if not (place / DONE).is_file():
            left.append(task.name)
            continue
        done = _mapping(place / DONE)
        shown = shlex.quote(f"{name}/{task.folder}")
        sections.append(step_section(place, task.name, task.do, done, shown, command))
        lacks += step_lacks(place, task.name, done)
        notes += step_notes(place, task.name, done)
    return Report(
        question=study.title,
        name=name,
        command=command,
        sections=tuple(sections),
        lacks=tuple(lacks),
        left=tuple(left),
        notes=tuple(notes),
        config=_yaml(record.get("study")),
        environment=_environment(record),
    )


def _analysis(folder: Path) -> Report:
    record = _mapping(folder / ANALYSIS)
    config = dict(record.get("config") or {})
    analysis, name = str(config.get("analysis")), _name(folder)
    section = analysis_section(folder, analysis, analysis, shlex.quote(name))
    left = () if section.tables else (analysis,)
    return Report(
        question=section.title,
        name=name,
        command=f"vdprobe analyze {analysis} ... --out {shlex.quote(name)}",
        sections=(section,),
        lacks=tuple(step_lacks(folder, analysis, {})),
        left=left,
        config=_yaml(config),
        environment=_environment(record),
    )


def _name(folder: Path) -> str:
    return folder.resolve().name or "run"


def _mapping(path: Path) -> Mapping[str, Any]:
    found = read_json(path)
    if not isinstance(found, dict):
        raise DataError(f"{path} is damaged: it holds no mapping; run the command that made it again")
    return found


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100).rstrip()


def _environment(record: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    versions = record.get("versions")
    known = {str(k): str(v) for k, v in versions.items()} if isinstance(versions, dict) else {}
    if record.get("machine"):
        known["machine"] = str(record["machine"])
    return tuple(known.items())
