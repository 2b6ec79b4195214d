"""Data on standard output, chatter on standard error; progress bars on a terminal, plain lines elsewhere."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from vdprobe.cli.boundary import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from vdprobe.data.video import Failure
    from vdprobe.extraction.report import Report

LINE_EVERY = 10.0
"""Seconds between progress lines where there is no terminal."""
FAILURES = 5
"""How many are said one by one."""


def say(text: str) -> None:
    """A line for the person watching."""
    typer.echo(_encodable(text), err=True)


def stop(text: str) -> NoReturn:
    """Ends a command that was interrupted, with a line that says what is left and how to go on."""
    say(text)
    raise SystemExit(INTERRUPTED)


def print_json(value: Any) -> None:
    """A result for a program."""
    typer.echo(_encodable(json.dumps(value, indent=2, ensure_ascii=False)))


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Plain columns: readable, and easy for `awk`."""
    lines = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        typer.echo(_encodable("  ".join(cells).rstrip()))


def _encodable(text: str) -> str:
    """Halves of characters, which names of files and texts may hold, as JSON writes them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def list_failures(failures: Sequence["Failure"], everything: str) -> None:
    """The first of them, and how many more there are; `everything` is where all of them are."""
    for failure in failures[:FAILURES]:
        say(f"failed: {failure.where}: {failure.error}")
    if len(failures) > FAILURES:
        say(f"failed: {len(failures) - FAILURES} more, all of them in {everything}")


def human_bytes(count: float) -> str:
    """1536 -> '1.5 KiB'."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def human_seconds(seconds: float) -> str:
    """75 -> '1m15s'."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"


@contextmanager
def show_progress() -> Iterator["Callable[[Report], None]"]:
    """A function to call with the report after every item."""
    with count_progress("extracting", "items") as update:
        yield lambda report: update(
            report.written,
            report.items,
            report.already,
            f"waiting for {report.waiting} clips of other workers" if report.waiting else "",
        )


@contextmanager
def count_progress(doing: str, unit: str) -> Iterator["Callable[..., None]"]:
    """A function to call with (made now, how many there are, made before, a few words) after every one made."""
    if sys.stderr.isatty():
        with _bar(doing, unit) as update:
            yield update
    else:
        yield _Lines(unit)


@contextmanager
def bars_in_turn() -> Iterator["Callable[[str, str], Callable[..., None]]"]:
    """Gives what `count_progress` does, by (what is being done, unit); the next thing ends the bar of the last."""
    found: dict[str, Callable[..., None]] = {}
    with ExitStack() as stack:

        def bar(doing: str, unit: str) -> "Callable[..., None]":
            if doing not in found:
                stack.close()
                found[doing] = stack.enter_context(count_progress(doing, unit))
            return found[doing]

        yield bar


@contextmanager
def _bar(doing: str, unit: str) -> Iterator["Callable[..., None]"]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(doing),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{unit}  {{task.fields[rate]}}  left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    began = time.monotonic()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(unit, total=None, rate="", note="")

        def update(made: int, total: int, before: int = 0, note: str = "") -> None:
            rate = made / max(time.monotonic() - began, 1e-9)
            progress.update(task, total=total, completed=made + before, rate=f"{rate:.2f}/s", note=note)

        yield update


class _Lines:
    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.began = self.last = time.monotonic()

    def __call__(self, made: int, total: int, before: int = 0, note: str = "") -> None:
        now = time.monotonic()
        if now - self.last < LINE_EVERY:
            return
        self.last = now
        rate = made / (now - self.began)
        remaining = human_seconds((total - before - made) / rate) if rate else "unknown"
        say(f"{before + made}/{total} {self.unit}, {rate:.2f}/s, {remaining} left{note and f', {note}'}")
