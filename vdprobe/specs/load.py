"""From YAML and `--set a.b=1` to frozen dataclasses, with errors that name the nearest valid key."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import pydantic
import yaml

from vdprobe.errors import ConfigError, suggest

T = TypeVar("T")


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises `ConfigError` when it is missing, malformed or no mapping."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read the spec {path}: {error.strerror}; give the path of a YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start}); save the spec as UTF-8") from error
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{path} is not valid YAML{where}: {getattr(error, 'problem', error)}") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{path} must hold a mapping of options, it holds a {type(value).__name__}")
    return value


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` wins, mapping by mapping."""
    out = dict(base)
    for key, value in over.items():
        mine = out.get(key)
        out[key] = merge(mine, value) if isinstance(mine, Mapping) and isinstance(value, Mapping) else value
    return out


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """`["a.b=1", "c=[x, y]"]` to a nested mapping; values are read as YAML."""
    out: dict[str, Any] = {}
    for assignment in assignments:
        path, sign, text = assignment.partition("=")
        if not sign or not path:
            raise ConfigError(f"--set {assignment!r} is not of the form a.b=value")
        nested: Any = yaml.safe_load(text)
        for key in reversed(path.split(".")):
            nested = {key: nested}
        out = merge(out, nested)
    return out


def build(cls: type[T], values: Mapping[str, Any]) -> T:
    """An instance of the dataclass `cls`, checked field by field.

    Raises `ConfigError` for an unknown key (with its nearest valid key), a missing one, or a value
    of the wrong type.
    """
    _check_keys(cls, values, "")
    try:
        return pydantic.TypeAdapter(cls).validate_python(dict(values))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, ConfigError):
            raise cause from None
        where = ".".join(str(part) for part in first["loc"]) or "the spec"
        if first["type"] == "missing":
            raise ConfigError(f"option '{where}' is missing; give it a value") from None
        raise ConfigError(f"option '{where}' (={first['input']!r}): {first['msg'].lower()}") from None


def _check_keys(cls: type, values: Mapping[str, Any], where: str) -> None:
    hints = get_type_hints(cls)
    names = [f.name for f in dataclasses.fields(cls)]
    for key, value in values.items():
        if key not in names:
            raise ConfigError(f"unknown option '{where}{key}': {suggest(str(key), names)}")
        for place, inner, found in _dataclasses_in(hints[key], value, f"{where}{key}"):
            _check_keys(inner, found, f"{place}.")


def _dataclasses_in(hint: Any, value: Any, where: str) -> Iterator[tuple[str, type, Mapping[str, Any]]]:
    """(place, dataclass, values) wherever `hint` asks for a dataclass: alone, in a list, as values of a mapping."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if isinstance(value, Mapping):
            yield where, hint, value
        return
    of_mapping = get_origin(hint) in (dict, Mapping)
    if isinstance(value, Mapping) and of_mapping:
        for key, item in value.items():
            yield from _dataclasses_in(get_args(hint)[1], item, f"{where}.{key}")
        return
    for inner in get_args(hint):
        if isinstance(value, list) and not isinstance(inner, str):
            for at, item in enumerate(value):
                yield from _dataclasses_in(inner, item, f"{where}.{at}")
        else:
            yield from _dataclasses_in(inner, value, where)
