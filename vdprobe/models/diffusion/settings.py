"""What else a family can be asked, by name: the settings of a request, checked against the family's own."""

from collections.abc import Mapping
from typing import Any

from vdprobe.errors import ConfigError, suggest


def read_settings(given: Mapping[str, Any], defaults: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The family's settings with what a request says of them.

    Raises `ConfigError` for a name that is no setting of the model, and for a value of another type.
    """
    for name, value in given.items():
        if name not in defaults:
            known = suggest(name, defaults) if defaults else "it has none"
            raise ConfigError(f"settings.{name} is no setting of '{model}': {known}")
        if type(value) is not type(defaults[name]) and not (
            isinstance(value, int) and isinstance(defaults[name], float) and not isinstance(value, bool)
        ):
            kind = type(defaults[name]).__name__
            raise ConfigError(f"settings.{name} (={value!r}) must be a {kind}, such as {defaults[name]!r}")
    return {**defaults, **{name: type(defaults[name])(value) for name, value in given.items()}}  # 25 is 25.0
