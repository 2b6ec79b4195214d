"""Numbers in text, as people write them: ASCII digits, no leading zeros, underscores or other bases."""

import math
import re

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


def how_to_write(text: str) -> str:
    """What to do about a text that is not read as a number, though a person may take it for one."""
    if re.fullmatch(r"[-+]?0+[0-9][0-9]*(\.[0-9]*)?", text):
        return "write it without leading zeros"
    if whole_number(text.strip()) is None and WHOLE.fullmatch(text.strip()):
        return f"write a number of at most {DIGITS} digits"
    return "write digits alone"
