"""Numbers in text, as people write them: ASCII digits, no leading zeros, underscores or other bases.

And numbers that are part of a key, of which each has one form.
"""

import math
import re

from vdprobe.errors import ConfigError

WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
FRACTION = re.compile(r"[-+]?(?=\.?[0-9])(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][-+]?[0-9]+)?")
DIGITS = 18
"""Of a whole number that fits into 64 bits whatever it is."""


def whole_number(text: str) -> int | None:
    """The number that a text is, None for any other text: `010`, `1_0`, `2²`, or one of more than 18 digits."""
    return int(text) if len(text) <= DIGITS and WHOLE.fullmatch(text) else None


def finite_number(text: str) -> float | None:
    """The number that a text is, with or without a point and an exponent; None for any other text."""
    if not FRACTION.fullmatch(text) or math.isinf(float(text)):
        return None
    return float(text)


def plain_number(value: int | float) -> int | float:
    """A number in its one form: an `int` where it is whole. Raises `ConfigError` for one that is not finite."""
    if isinstance(value, int):
        return value
    if not math.isfinite(value):
        raise ConfigError(f"{value} is not a finite number; give one that is")
    return int(value) if float(value).is_integer() else float(value)


def how_to_write(text: str) -> str:
    """What to do about a text that is not read as a number, though a person may take it for one."""
    if re.fullmatch(r"[-+]?0+[0-9][0-9]*(\.[0-9]*)?", text):
        return "write it without leading zeros"
    if whole_number(text.strip()) is None and WHOLE.fullmatch(text.strip()):
        return f"write a number of at most {DIGITS} digits"
    return "write digits alone"
