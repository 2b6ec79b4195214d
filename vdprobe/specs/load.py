"""From YAML and `--set a.b=1` to frozen dataclasses, with errors that name the nearest valid key."""

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import pydantic

from vdprobe.errors import SHOWN, ConfigError, shown, suggest
from vdprobe.specs.canonical import to_plain
from vdprobe.specs.numbers import how_to_write
from vdprobe.specs.yaml_text import DEPTH, LARGEST, LIMIT, parse_yaml, parse_yaml_value

T = TypeVar("T")


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, read as `parse_yaml` says.

    Raises `ConfigError` when it is missing, malformed, no mapping, or larger than any spec.
    """
    try:
        with path.open("rb") as file:
            text = file.read(4 * LIMIT + 1).decode("utf-8")  # of UTF-8, which has up to four bytes a character
    except OSError as error:
        raise ConfigError(f"cannot read the spec {path}: {error.strerror}; give the path of a YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start}); save the spec as UTF-8") from error
    value = parse_yaml(text, str(path))
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


def flatten(values: Mapping[str, Any], name: str = "") -> Iterator[tuple[str, Any]]:
    """Each value of a nested mapping with its path, such as `("a.b", 1)`: what `parse_assignments` reads."""
    for key, inner in values.items():
        if isinstance(inner, Mapping):
            yield from flatten(inner, f"{name}{key}.")
        else:
            yield f"{name}{key}", inner


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """`["a.b=1", "c=[x, y]"]` to a nested mapping; values are read as `parse_yaml_value` says.

    Of two that give one place, the later wins, as everywhere on a command line. Raises `ConfigError`.
    """
    out: dict[str, Any] = {}
    for assignment in assignments:
        path, sign, text = assignment.partition("=")
        keys = path.split(".")
        if not sign or len(keys) > DEPTH or any(not key or key != key.strip() for key in keys):
            raise ConfigError(f"--set {shown(assignment)} is not of the form a.b=value")
        where = f"--set {path if len(path) <= SHOWN else shown(path)}"
        nested: Any = parse_yaml_value(text, where)
        for key in reversed(keys):
            nested = {key: nested}
        out = merge(out, nested)
    return out


def build(cls: type[T], values: Mapping[str, Any]) -> T:
    """An instance of the dataclass `cls`, checked field by field.

    A value is taken only for what it is: a whole number where a fraction is asked is one, but text is no number,
    a number no text, and neither is a switch.

    Raises `ConfigError` for an unknown key (with its nearest valid key), a missing one, or a value
    of the wrong type.
    """
    if not isinstance(values, Mapping):  # of a JSON file, which may hold anything
        raise ConfigError(f"a mapping of options is needed, and this is a {type(values).__name__}: {shown(values)}")
    _check_keys(cls, values, "")
    plain = to_plain(dict(values))
    try:
        made = pydantic.TypeAdapter(cls).validate_json(
            json.dumps(plain), strict=True
        )  # strict, and a list may be a tuple
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, ConfigError):
            raise cause from None
        where = ".".join(str(part) for part in first["loc"]) or "the spec"
        if first["type"] == "missing":
            raise ConfigError(f"option '{where}' is missing; give it a value") from None
        remedy = _remedy(first["type"], first["input"])
        raise ConfigError(f"option '{where}' (={shown(first['input'])}): {first['msg'].lower()}{remedy}") from None
    _check_values(plain, "")
    return made


def _remedy(kind: str, given: Any) -> str:
    """What to write instead, with the semicolon before it; empty where the message says it all."""
    if kind in ("int_type", "float_type") and isinstance(given, str):
        return f"; {how_to_write(given)}, without quotes"
    return _REMEDIES.get(kind, "")


_REMEDIES = {
    "string_type": "; put it in quotes to have it as text",
    "bool_type": "; write true or false",
    "int_from_float": "; write it without a point or an exponent",
    "int_type": "; write digits alone, without quotes",
    "float_type": "; write a decimal number, without quotes",
    "none_required": "; write null",
}
"""What to write, by the kind of pydantic's error."""


PATHS = frozenset(
    ("path", "pipeline", "image_encoder", "adapter", "expressions", "masks", "dataset", "predictions", "head", "words")
)
"""Options that name a file or a folder, where an empty text would be the current folder, or a default."""


def _check_values(value: Any, where: str) -> None:
    """Raises `ConfigError` for a number that is none or beyond 64 bits, and for an empty path."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            _check_values(inner, f"{where}.{key}" if where else str(key))
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"option '{where}' (={value}) is no finite number; give one")
    elif isinstance(value, int) and abs(value) > LARGEST:
        raise ConfigError(f"option '{where}' (={shown(value)}) is beyond {LARGEST}; give a smaller number")
    elif value == "" and where.rpartition(".")[2] in PATHS:
        raise ConfigError(f"option '{where}' is empty; name a file or a folder, or leave it out")


def _check_keys(cls: type, values: Mapping[str, Any], where: str) -> None:
    hints = get_type_hints(cls)
    names = [f.name for f in dataclasses.fields(cls)]
    for key, value in values.items():
        if key not in names:
            raise ConfigError(f"unknown option '{where}{str(key)[:SHOWN]}': {suggest(str(key), names)}")
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
