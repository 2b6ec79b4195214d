"""What lies in the folder of a training: its record, its state, its log."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from vdprobe.data.text_files import parse_json, read_json
from vdprobe.errors import ConfigError, DataError, TrainingError
from vdprobe.specs.environment import environment
from vdprobe.store.flush import flush, flush_all, flush_tree
from vdprobe.store.json_files import is_int

RECORD, STATE, LOG = "training.json", "state.pt", "log.jsonl"
FIXED = ("config", "model", "data")
"""The parts of a record that a training cannot change on its way."""


def claim(out: Path, record: Mapping[str, Any], *, name: str = RECORD, begun: bool = True) -> None:
    """Makes the folder `out`, which is there, this result's own: `record` and the environment in its file `name`.

    - `begun`: whether anything was made there. Until then another result may have the folder: a command that failed
      before it made anything must not stand in the way of the corrected one.

    Raises `ConfigError` where `out` is another result's, naming the first key that differs.
    """
    path = out / name
    asked = _fixed(record)
    there = _fixed(_read_record(path)) if path.exists() else None
    if there is None or (not begun and there != asked):
        value = {**record, **environment()}
        replace_file(path, lambda part: part.write_text(json.dumps(value, indent=2, ensure_ascii=False), "utf-8"))
        return
    for key in dict.fromkeys((*asked, *there)):
        if there.get(key) != asked.get(key):
            raise ConfigError(
                f"{out} holds a result with another '{key}' ({there.get(key)!r}, asked for is {asked.get(key)!r}): "
                "give another --out"
            )


def _read_record(path: Path) -> Mapping[str, Any]:
    found = read_json(path)
    if not isinstance(found, dict):
        raise DataError(f"{path} is damaged: it holds no mapping; give another --out")
    return found


def _fixed(record: Mapping[str, Any]) -> dict[str, Any]:
    return dict(_flatten({part: record.get(part) for part in FIXED}))


def is_begun(out: Path) -> bool:
    """Whether a training has made a step, or what a step goes on from."""
    log = out / LOG
    return (out / STATE).exists() or (log.exists() and log.stat().st_size > 0)


def _flatten(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flatten(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list) and value and all(isinstance(inner, Mapping) for inner in value):
        for number, inner in enumerate(value):
            yield from _flatten(inner, f"{name}.{number}")
    else:
        yield name.removeprefix("config."), value


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """`write` fills a file beside `path`, which then takes its place: whoever looks, now or after a power cut, sees a
    whole one.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        write(part)
        flush(part)
        os.replace(part, path)
        flush(path.parent)
    except (OSError, SafetensorError) as error:
        part.unlink(missing_ok=True)
        told = getattr(error, "strerror", None) or error
        raise TrainingError(f"cannot write {path}: {told}; free space and run it again") from error


def replace_files(folder: Path, write: Callable[[Path], object]) -> None:
    """`write` fills a folder beside `folder`; its files then take their places in it, one by one."""
    part = folder.with_name(f"{folder.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        write(part)
        flush_tree(part)
        folder.mkdir(exist_ok=True)
        for file in sorted(part.iterdir()):
            os.replace(file, folder / file.name)
        part.rmdir()
        flush_all((folder, folder.parent))
    except OSError as error:
        raise TrainingError(f"cannot write {folder}: {error.strerror or error}; free space and run it again") from error


def save_state(out: Path, state: Mapping[str, Any]) -> None:
    """What a training goes on from."""

    def write(part: Path) -> None:
        with part.open("wb") as file:
            try:
                torch.save(dict(state), file)
            except RuntimeError as error:  # about its own archive, after the file has said why
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from error
                raise

    replace_file(out / STATE, write)


def load_state(out: Path) -> dict[str, Any] | None:
    """The saved state on the CPU, None where nothing was saved yet. Raises `TrainingError` for a damaged one.

    `load_state_dict` moves it to the device, whose name one process alone may know (`cuda:1`, or a process's `cpu:0`).
    """
    path = out / STATE
    if not path.exists():
        return None
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # a torn archive raises many kinds
        raise TrainingError(f"{path} is damaged ({type(error).__name__}); remove it to train from the start") from error


def read_rows(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The mappings in a file with one a line, and how many lines are damaged; nothing of a file that is absent.

    A last line that was not finished, as a killed process leaves it, is no damage. Raises `DataError` for a file that
    cannot be read.
    """
    try:
        *lines, last = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; make it readable") from error
    rows = [_row(line, path) for line in lines]
    rest = [row] if (row := _row(last, path)) is not None else []
    return [row for row in rows if row is not None] + rest, rows.count(None)


def _row(line: bytes, path: Path) -> dict[str, Any] | None:
    try:
        value = parse_json(line.decode(), str(path))
    except (UnicodeDecodeError, DataError):
        return None
    return value if isinstance(value, dict) else None


def log_until(out: Path, step: int) -> list[dict[str, Any]]:
    """The log's rows up to `step`, one each; what was logged after the last saved state is cut off the file.

    Raises `TrainingError` where rows are missing, twice or damaged.
    """
    path = out / LOG
    remedy = f"remove {out / STATE} to train from the start"
    rows = []
    for row in read_rows(path)[0]:
        number = row.get("step")
        if not is_int(number):
            raise TrainingError(f"{path} is damaged: a row of it has no step; {remedy}")
        if number <= step:
            rows.append(row)
    if [row["step"] for row in rows] != list(range(1, step + 1)):
        there = len({row["step"] for row in rows})
        raise TrainingError(f"{path} has {there} of {step} steps, in {len(rows)} rows; {remedy}")
    replace_file(path, lambda part: part.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8"))
    return rows
