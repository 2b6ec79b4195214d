"""What a head is asked with, unless it is told otherwise: as it was trained, or as the official code does."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vdprobe.errors import ModelError
from vdprobe.head.official_checkpoint import ADAPTER
from vdprobe.specs.spans import USUAL_RULE
from vdprobe.training.checkpoint import RECORD
from vdprobe.training.head_place import find_place

OFFICIAL = {"conditions": ["vd-it"], "noises": ["predicted"], "timesteps": [0]}
"""What the heads of the official code were trained on; what depends on the videos is in `official_options`."""
WORDS = "roberta-base"
ASKED = ("timestep", "levels", "frame_rule", "words", "text_case")
"""Beside `features`, what the configurations of a training and of a prediction both have."""


@dataclass(frozen=True)
class HeadFolder:
    """A head on disk.

    - `folder`: of the head itself. `digest`: hash of its sizes and weights.
    - `defaults`: what a prediction with it takes unless it is told otherwise, as nested plain values.
    - `model`: hash of each part of the model that it was trained on, and of the text encoder, `words`; empty where
      nothing says so.
    - `notes`: what of the training a prediction does not take over.
    - `imported`: whether it is of the official code.
    - `centred`: the clips of a training in which they were centred, for predictions of single frames; else None.
    """

    folder: Path
    digest: str
    defaults: Mapping[str, Any]
    model: Mapping[str, str]
    notes: tuple[str, ...]
    imported: bool = False
    centred: Mapping[str, Any] | None = None


def find_head(run: str | Path) -> HeadFolder:
    """The head in a folder, as `find_place` finds it. Raises `ModelError` where there is none."""
    place = find_place(run)
    if place.record is not None:
        return _trained(place.folder, place.digest, place.record)
    adapter = place.folder / ADAPTER
    model = {"adapter": str(adapter)} if adapter.is_file() else {}
    defaults = {"features": {**OFFICIAL, "model": model}, "words": WORDS}
    return HeadFolder(place.folder, place.digest, defaults, {}, (), imported=True)


def _trained(folder: Path, digest: str, record: Mapping[str, Any]) -> HeadFolder:
    config = record.get("config")
    if not isinstance(config, Mapping) or not isinstance(config.get("features"), Mapping):
        raise ModelError(f"{folder.parent / RECORD} is no record of `vdprobe train-head`; give the folder of one")
    features = {name: value for name, value in config["features"].items() if name != "videos"}
    notes, centred = [], None
    clips = features.get("clips", {})
    if clips.get("kind") == "centred":
        centred = features.pop("clips")
    elif clips.get("kind", "windows") != "windows" or clips.get("overlap"):
        del features["clips"]
        notes.append(made_in_windows(clips.get("kind")))
    if config.get("frame_rule") == "ends":
        config = {name: value for name, value in config.items() if name != "frame_rule"}
        notes.append(f"the head was trained on the last frames of spans alone, its masks are made by '{USUAL_RULE}'")
    defaults = {"features": features} | {name: config[name] for name in ASKED if name in config}
    model = record.get("model") or {}
    known = {**model.get("parts", {}), **({"words": model["words"]} if "words" in model else {})}
    return HeadFolder(folder, digest, defaults, known, tuple(notes), centred=centred)


def made_in_windows(kind: str) -> str:
    """A note on a head that was trained on clips of another kind than its masks are made in."""
    return f"the head was trained on clips of kind '{kind}', its masks are made in windows"
