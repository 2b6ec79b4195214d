"""The exception family. A message is one line: what is wrong, where, and what to do about it."""

import difflib
from collections.abc import Iterable


class VdprobeError(Exception):
    """Base of every error that vdprobe raises for a reason the user can act on."""


class ConfigError(VdprobeError, ValueError):
    """An option, a spec or a name is wrong."""


class DataError(VdprobeError):
    """A video, an expression or a dataset folder cannot be used."""


class ModelError(VdprobeError):
    """A pipeline or an adapter cannot be loaded, or does not fit what is asked of it."""


class FeatureError(VdprobeError):
    """Features were computed but must not be stored (non-finite values, overflow)."""


class TrainingError(VdprobeError):
    """A training cannot go on (a loss or a gradient that is not finite)."""


class StoreError(VdprobeError):
    """The feature store cannot be read or written."""


class StoreUnusableError(StoreError):
    """No further item can be written (disk full, read-only, foreign schema): the job must stop."""


def suggest(name: str, valid: Iterable[str], *, most: int = 12) -> str:
    """The tail of an error about an unknown `name`: its nearest valid names, or all if they are few."""
    names = list(valid)
    near = difflib.get_close_matches(name, names, n=4, cutoff=0.5)
    hint = f"did you mean {' or '.join(repr(n) for n in near)}? " if near else ""
    if len(names) <= most:
        return f"{hint}valid: {', '.join(names)}"
    return hint.rstrip() or f"there are {len(names)} valid names, such as {', '.join(names[:4])}"
