"""Options that are numbers, read as strictly as the values of a file: `010`, `1_0` and `٣` are none."""

from typing import Any

import typer

from vdprobe.errors import shown
from vdprobe.specs.numbers import finite_number, how_to_write, whole_number


def whole(help: str, *, least: int | None = None, **more: Any) -> Any:
    """An option that takes a whole number, of `least` or more."""

    def parse(given: str | int) -> int:
        number = given if isinstance(given, int) else whole_number(given)  # a default is a number already
        if number is None:
            raise typer.BadParameter(f"{shown(given)} is not a whole number: {how_to_write(str(given))}")
        if least is not None and number < least:
            raise typer.BadParameter(f"{number} is not at least {least}")
        return number

    return typer.Option(parser=parse, metavar="INTEGER", help=help, **more)


def fraction(help: str, **more: Any) -> Any:
    """An option that takes a number with or without a point and an exponent."""

    def parse(given: str | float) -> float:
        number = given if isinstance(given, int | float) else finite_number(given)
        if number is None:
            raise typer.BadParameter(f"{shown(given)} is not a finite number: {how_to_write(str(given))}")
        return float(number)

    return typer.Option(parser=parse, metavar="FLOAT", help=help, **more)
