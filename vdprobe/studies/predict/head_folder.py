"""Where a head is, and what its features were: a folder of `train-head`, or one of `import-official`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vdprobe.data.model_files import files_digest
from vdprobe.data.text_files import read_json
from vdprobe.errors import ModelError
from vdprobe.head.files import CONFIG, WEIGHTS
from vdprobe.head.official_checkpoint import ADAPTER
from vdprobe.training.checkpoint import RECORD

PLACES = ("best", "last")
"""Where a training leaves heads, in the order they are taken."""
OFFICIAL = {"conditions": ["vd-it"], "noises": ["predicted"], "timesteps": [0]}
"""What the heads of the official code were trained on; windows of 36 frames and a short side of 360 are the default."""
WORDS = "roberta-base"
ASKED = ("timestep", "levels", "words")
"""Beside `features`, what the configurations of a training and of a prediction both have."""


@dataclass(frozen=True)
class HeadFolder:
    """A head on disk.

    - `folder`: of the head itself. `digest`: hash of its sizes and weights.
    - `defaults`: what a prediction with it takes unless it is told otherwise, as nested plain values.
    - `model`: hash of each part of the model that it was trained on, and of the text encoder, `words`; empty where
      nothing says so.
    - `notes`: what of the training a prediction does not take over.
    """

    folder: Path
    digest: str
    defaults: Mapping[str, Any]
    model: Mapping[str, str]
    notes: tuple[str, ...]


def find_head(run: str | Path) -> HeadFolder:
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
        return _trained(folder, read_json(record))
    if (run / CONFIG).is_file():
        adapter = run / ADAPTER
        model = {"adapter": str(adapter)} if adapter.is_file() else {}
        return HeadFolder(run, _digest(run), {"features": {**OFFICIAL, "model": model}, "words": WORDS}, {}, ())
    raise ModelError(
        f"there is no head in {run}; give a folder that `vdprobe train-head` or `vdprobe import-official` has written"
    )


def _trained(folder: Path, record: Mapping[str, Any]) -> HeadFolder:
    config = record.get("config")
    if not isinstance(config, Mapping) or not isinstance(config.get("features"), Mapping):
        raise ModelError(f"{folder.parent / RECORD} is no record of `vdprobe train-head`; give the folder of one")
    features = {name: value for name, value in config["features"].items() if name != "videos"}
    notes = []
    clips = features.get("clips", {})
    if clips.get("kind", "windows") != "windows" or clips.get("overlap"):
        del features["clips"]
        notes.append(f"the head was trained on clips of kind '{clips.get('kind')}', its masks are made in windows")
    defaults = {"features": features} | {name: config[name] for name in ASKED if name in config}
    model = record.get("model") or {}
    known = {**model.get("parts", {}), **({"words": model["words"]} if "words" in model else {})}
    return HeadFolder(folder, _digest(folder), defaults, known, tuple(notes))


def _digest(folder: Path) -> str:
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"no {missing[0]} in {folder}; give a folder with a whole head")
    return files_digest(folder / name for name in (CONFIG, WEIGHTS))
