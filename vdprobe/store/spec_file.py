"""`spec.json`: what computation a folder of the store holds, in words, and the proof that its key is theirs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from vdprobe.specs.canonical import canonical_hash, to_plain
from vdprobe.specs.features import FeatureSpec, ModelIdentity
from vdprobe.store.json_files import OWN, NotJson, is_number, is_signed, load_json, signed

NAME = "spec.json"
UNKEYED = {f.name for f in fields(ModelIdentity) if f.metadata.get("descriptive")}
"""What of a model is not in the key."""


@dataclass(frozen=True)
class StoredSpec:
    """One computation of a store; `spec` and `provenance` are its readable forms.

    - `signed`: whether all of it is proved; else what the key covers is, and the model's name and provenance are not.
    """

    key: str
    path: Path
    spec: dict[str, Any] = field(repr=False, compare=False)
    provenance: dict[str, Any] = field(repr=False, compare=False)
    signed: bool = field(default=True, repr=False, compare=False)


def spec_content(spec: FeatureSpec, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What is written of a spec."""
    return signed({"key": spec.key, "spec": to_plain(spec), "provenance": dict(provenance)})


def load_spec(path: Path) -> StoredSpec:
    """The `spec.json` at `path`. Raises `NotJson` for one that is damaged or another's, `OSError` for none."""
    value = load_json(path)
    proved = is_signed(value)
    key, spec, provenance = value.get("key"), value.get("spec"), value.get("provenance")
    if value.keys() - {OWN} != {"key", "spec", "provenance"} or not isinstance(provenance, dict):
        raise NotJson("is damaged: it is not the description of a spec")
    if not isinstance(spec, dict) or not _is_spec(spec):
        raise NotJson("is damaged: it does not describe a spec")
    if key != key_of(spec):
        raise NotJson("is damaged: what it describes has another key than it names")
    if key[:16] != path.parent.name:
        raise NotJson("is of another spec than its folder")
    return StoredSpec(key, path.parent, spec, provenance, proved)


def read_spec(path: Path) -> StoredSpec | None:
    """The `spec.json` at `path`, None when it is absent, damaged or of another folder."""
    try:
        return load_spec(path)
    except (OSError, NotJson):
        return None


def key_of(spec: Mapping[str, Any]) -> str:
    """The key of a spec in its readable form."""
    model = {name: value for name, value in spec["model"].items() if name not in UNKEYED}
    try:
        return canonical_hash({**spec, "model": model})
    except ValueError as error:
        raise NotJson("holds a number that is not finite") from error


def _is_spec(spec: Mapping[str, Any]) -> bool:
    """Whether what tables and exports say of a spec is there, and of the right kind."""
    model, taps, timesteps = spec.get("model"), spec.get("taps"), spec.get("timesteps")
    return (
        isinstance(model, dict)
        and isinstance(model.get("name"), str)
        and isinstance(taps, list)
        and bool(taps)
        and all(isinstance(tap, str) for tap in taps)
        and isinstance(timesteps, list)
        and all(is_number(t) for t in timesteps)
        and isinstance(spec.get("store_dtype"), str)
        and all(_is_kind(spec.get(name, 0)) for name in ("condition", "noise"))
    )


def _is_kind(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and isinstance(value.get("kind"), str))
