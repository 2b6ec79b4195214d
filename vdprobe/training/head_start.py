"""Where a training begins that goes on from another head, as official fine-tuning does (main.py:145-150)."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from vdprobe.errors import ModelError, TrainingError
from vdprobe.head.config import HeadConfig, HeadSizes
from vdprobe.head.files import load_config, load_head
from vdprobe.head.head import Head
from vdprobe.training.head_place import HeadPlace, find_place

SCORES = "decoder.scores."
"""Of a head's tensors those that tell how sure it is of each query: the official `class_embed`, which starts anew."""
REMEDIES = {
    "level_widths": "take the features of the model that it was trained on",
    "standardised": "leave standardise out, which then is as in that head",
    "text_width": "set words to the text encoder that it was trained with, such as roberta-base for an official head",
}
"""What to do about sizes that differ; the others are the `head` of the configuration."""


def sizes_of(start: str) -> dict[str, Any]:
    """The sizes of a head that a training can start from, as its configuration has them. Raises `ModelError`."""
    config = load_config(find_place(start).folder)
    return {field.name: getattr(config, field.name) for field in fields(HeadSizes)}


def is_standardised(start: str) -> bool:
    """Whether a head that a training can start from standardises its levels. Raises `ModelError`."""
    return load_config(find_place(start).folder).standardised


def check_start(start: HeadPlace, wanted: Mapping[str, Any]) -> None:
    """Raises `ModelError` where the head has other sizes than those that are `wanted`, by their names; None is any."""
    there = load_config(start.folder)
    for name, value in wanted.items():
        found = getattr(there, name)
        if value not in (None, found) and name != "dropout":  # which no tensor depends on
            remedy = REMEDIES.get(name, f"leave head.{name} out")
            raise ModelError(f"the head in {start.folder} has {name} {found}, and this training {value}: {remedy}")


def list_changes(start: HeadPlace, model: Mapping[str, Any]) -> list[str]:
    """Notes on what the head was trained with and this training is not, as far as the head's own training tells.

    - `model`: of this training, as its record has it.
    """
    before = (start.record or {}).get("model")
    if not isinstance(before, Mapping):
        return []
    parts = [
        name
        for name, digest in {**_parts(before), "words": before.get("words")}.items()
        if digest is not None and digest != {**_parts(model), "words": model["words"]}.get(name, digest)
    ]
    if not parts:
        return []
    return [f"the head in {start.folder} was trained with another model or text encoder (other: {', '.join(parts)})"]


def _parts(model: Mapping[str, Any]) -> Mapping[str, Any]:
    found = model.get("parts")
    return found if isinstance(found, Mapping) else {}


def begin_with(head: Head, start: HeadPlace) -> None:
    """Gives an untrained head the weights of another, all but those of its scores, which stay as they were drawn.

    Raises `ModelError` for a head of other sizes, and `TrainingError` for one that has changed since it was found.
    """
    check_start(start, {field.name: getattr(head.config, field.name) for field in fields(HeadConfig)})
    weights = load_head(start.folder).state_dict()
    if find_place(start.folder).digest != start.digest:
        raise TrainingError(f"the head in {start.folder} has just changed; let its training end, or copy it elsewhere")
    own = {name: tensor for name, tensor in head.state_dict().items() if name.startswith(SCORES)}
    head.load_state_dict(weights | own)
