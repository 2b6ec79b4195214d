"""`Report`: what a run of an extraction did, as it goes."""

from dataclasses import dataclass, field

from vdprobe.data.video import Failure
from vdprobe.models.model import Note


@dataclass
class Report:
    """What a run did.

    - `notes`: facts about single clips that a reader of the features should know.
    - `waiting`: clips that other workers are doing, while there is nothing else to do.
    """

    items: int = 0
    already: int = 0
    written: int = 0
    bytes: int = 0
    forwards: int = 0
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    stopped: str | None = None
    waiting: int = 0

    def note(self, note: Note) -> None:
        """Gathers equal facts under one line."""
        places = self.notes.setdefault(note.fact, [])
        if note.where not in places:
            places.append(note.where)

    @property
    def ok(self) -> bool:
        """Whether every item is in the store."""
        return not self.failures and self.stopped is None and self.written + self.already == self.items
