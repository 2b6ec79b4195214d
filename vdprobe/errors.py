"""The exception family. A message is one line: what is wrong, where, and what to do about it."""

import difflib
from collections.abc import Iterable

SHOWN = 80
"""Characters of a value in a message."""


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


def shown(value: object, most: int = SHOWN) -> str:
    """A value for a message: as Python writes it, the middle of a long one left out."""
    if isinstance(value, str) and len(value) > most:  # written out it may be many times as long
        return f"{value[: most // 2]!r}...{value[-most // 4 :]!r} ({len(value):,} characters)"
    text = repr(value)
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-most // 4 :]} ({len(text):,} characters)"


def one_line(message: str, most: int = 4000) -> str:
    """A message as a line: what ends lines or cannot be printed is escaped, the middle of a long one left out."""
    if len(message) > most:
        message = f"{message[: most // 2]} ... {message[-most // 2 :]} ({len(message):,} characters)"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in message)


def suggest(name: str, valid: Iterable[str], *, most: int = 12) -> str:
    """The tail of an error about an unknown `name`: its nearest valid names, or all if they are few."""
    names = list(valid)
    name = name[: 4 * SHOWN]
    near = difflib.get_close_matches(name, names, n=4, cutoff=0.5)
    hint = f"did you mean {' or '.join(repr(n) for n in near)}? " if near else ""
    if len(names) <= most:
        return f"{hint}valid: {', '.join(names)}"
    return hint.rstrip() or f"there are {len(names)} valid names, such as {', '.join(names[:4])}"
