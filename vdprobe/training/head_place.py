"""Where a head lies: in the folder of a training, or in one of `import-official`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vdprobe.data.model_files import files_digest
from vdprobe.data.text_files import read_json
from vdprobe.errors import ModelError
from vdprobe.head.files import CONFIG, WEIGHTS
from vdprobe.training.checkpoint import RECORD

PLACES = ("best", "last")
"""Where a training leaves heads, in the order they are taken."""


@dataclass(frozen=True)
class HeadPlace:
    """A folder with a whole head.

    - `digest`: hash of its sizes and weights. `record`: of the training that made it, None of an imported head.
    """

    folder: Path
    digest: str
    record: Mapping[str, Any] | None


def find_place(run: str | Path) -> HeadPlace:
    """The head in a folder: of a training the best one, or the last where none was measured.

    A training's own `best` or `last` is taken too. Raises `ModelError` where there is no head.
    """
    run = Path(run).expanduser()
    record = next((place / RECORD for place in (run, run.parent) if (place / RECORD).is_file()), None)
    if record is not None:
        choices = [run / name for name in PLACES] if record.parent == run else [run]
        folder = next((choice for choice in choices if (choice / CONFIG).is_file()), None)
        if folder is None:
            raise ModelError(
                f"the training in {record.parent} has no head yet ({', '.join(map(str, choices))}); let it go on"
            )
        told = read_json(record)
        if not isinstance(told, dict):
            raise ModelError(f"{record} is no record of a training; give the folder of one")
        return HeadPlace(folder, _digest(folder), told)
    if (run / CONFIG).is_file():
        return HeadPlace(run, _digest(run), None)
    raise ModelError(
        f"there is no head in {run}; give a folder that `vdprobe train-head` or `vdprobe import-official` has written"
    )


def _digest(folder: Path) -> str:
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"no {missing[0]} in {folder}; give a folder with a whole head")
    return files_digest(folder / name for name in (CONFIG, WEIGHTS))
