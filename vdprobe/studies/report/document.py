"""What a report says, before it is a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Cell:
    """A value of a table.

    - `span`: an interval and the value in it, (low, value, high), as shares of the column's range, which is drawn.
    """

    text: str
    span: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Table:
    """Rows that can be sorted and filtered.

    - `same`: columns that hold one value throughout, which stand above the table. `file`: where all of it lies.
    - `open_`: whether it is shown at first.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    same: Mapping[str, str] = field(default_factory=dict)
    file: str = ""
    open_: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figure:
    """A picture in a file, and the command that makes it."""

    title: str
    path: Path
    command: str


@dataclass(frozen=True)
class Lack:
    """What was not measured, and why; `step`: of which it is."""

    step: str
    where: str
    why: str


@dataclass(frozen=True)
class Section:
    """A step of a study, or an analysis: its question or name, and what it found.

    - `does`: in a word. `facts`: further results, by name.
    """

    name: str
    title: str
    does: str
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def shows(self) -> bool:
        """Whether it has a table or a figure."""
        return bool(self.figures or self.tables)


@dataclass(frozen=True)
class Report:
    """A report.

    - `question`: what is asked. `name`: of the folder. `command`: what makes all of it.
    - `lacks`: what was not measured. `left`: steps that are not done.
    - `config`: YAML. `environment`: package to version, and what else there is to say of it.
    """

    question: str
    name: str
    command: str
    sections: tuple[Section, ...]
    lacks: tuple[Lack, ...] = ()
    left: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    config: str = ""
    environment: Sequence[tuple[str, str]] = ()

    @property
    def intervals(self) -> bool:
        """Whether any table holds an interval."""
        cells = (cell for section in self.sections for table in section.tables for row in table.rows for cell in row)
        return any(cell.span is not None for cell in cells)
