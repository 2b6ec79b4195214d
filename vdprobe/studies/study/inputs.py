"""What a task is made from: the content of earlier tasks' results, datasets, heads and models that it names."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vdprobe.errors import DataError

PLACES = frozenset(
    ("path", "dataset", "expressions", "masks", "predictions", "head", "heads", "arms", "evaluations")
) | frozenset(("pipeline", "image_encoder", "adapter", "words"))
"""Keys of a configuration below which are files and folders that are read."""
CACHE = "store"
"""The key of what is filled on the way, and whose content follows from the rest."""
UNREAD = frozenset(("done.json", "inputs.json", "study.json", "report.html", "state.pt", "log.jsonl", "tensorboard"))
"""What lies in a task's folder and no other task reads: marks, reports, and what a training goes on from."""

Inputs = dict[str, dict[str, str] | None]
"""Path to `seen`, a hash of names, sizes and times, and `content`, one of what is in the files; None of what is not."""


class InputReader:
    """Looks at inputs; what was read once and looks the same is not read again.

    - `root`: the study's folder, in which everything that a configuration names is an input.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._contents: dict[tuple[str, str], str] = {}

    def look(self, config: Mapping[str, Any], before: Inputs | None = None) -> Inputs:
        """The inputs that a configuration names; content that `before` holds is taken where files look the same.

        Raises `DataError` for files that cannot be read.
        """
        found: Inputs = {}
        for path in dict.fromkeys(self._paths(config)):
            known = (before or {}).get(path)
            try:
                found[path] = self._look(path, known)
            except OSError as error:
                raise DataError(f"cannot read {error.filename or path}: {error.strerror}; make it readable") from error
        return found

    def _look(self, path: str, known: Mapping[str, str] | None) -> dict[str, str] | None:
        place = Path(path).expanduser()
        if not place.exists():
            return None
        files = list(_files(place))
        seen = _hash(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, _, stat in files)
        if known is not None and known["seen"] == seen:
            return dict(known)
        if (path, seen) not in self._contents:
            self._contents[path, seen] = _hash(f"{name} {_digest(file)}" for name, file, _ in files)
        return {"seen": seen, "content": self._contents[path, seen]}

    def _paths(self, value: Any, below: bool = False) -> Iterator[str]:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                if key != CACHE:
                    yield from self._paths(inner, below or key in PLACES)
        elif isinstance(value, list | tuple):
            for inner in value:
                yield from self._paths(inner, below)
        elif isinstance(value, str) and value:
            if value == self.root or value.startswith(f"{self.root}/"):
                yield value
            elif below:
                # of `vision:FOLDER` too; a model's name is no path and nothing that lies there is read
                yield from (part for part in (value, value.partition(":")[2]) if part and _exists(part))


def changed(before: Inputs, now: Inputs) -> list[str]:
    """The inputs whose content is another."""
    return [
        path
        for path in dict.fromkeys((*before, *now))
        if (before.get(path) or {}).get("content") != (now.get(path) or {}).get("content")
    ]


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # too long for a name, or of an unknown user
        return False


def _files(place: Path) -> Iterator[tuple[str, str, os.stat_result]]:
    """Name, path and state of every file of a folder, in order; of a file alone its own."""
    if not place.is_dir():
        yield "", str(place), place.stat()
        return
    seen = {os.path.realpath(place)}
    for folder, folders, names in os.walk(place, followlinks=True, onerror=_raise):
        folders[:] = sorted(name for name in folders if name not in UNREAD)
        for name in list(folders):  # a link to a folder that was seen would go round for ever
            real = os.path.realpath(os.path.join(folder, name))
            if real in seen:
                folders.remove(name)
            seen.add(real)
        for name in sorted(names):
            path = os.path.join(folder, name)
            if name not in UNREAD and not name.endswith(".part") and os.path.isfile(path):
                yield os.path.relpath(path, place), path, os.stat(path)


def _raise(error: OSError) -> None:
    raise error


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash(lines: Iterator[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(f"{line}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
