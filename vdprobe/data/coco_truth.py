"""The truth about images as COCO's format has it: a JSON with one annotation for each."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from jaxtyping import Bool

from vdprobe.data.picture_size import MAX_PIXELS
from vdprobe.data.predictions import is_box
from vdprobe.data.rle import decode_segmentation
from vdprobe.data.text_files import read_json
from vdprobe.errors import DataError, shown


@dataclass(frozen=True)
class CocoTruth:
    """What one text means: `segmentation` as COCO writes it, `size` (height, width), `box` x, y, width, height."""

    file: Path
    image: str | int
    size: tuple[int, int]
    segmentation: Any
    box: tuple[float, ...] | None

    def mask(self) -> Bool[np.ndarray, "H W"]:
        """Where it is; raises `DataError` for a segmentation that is none, or of another size than the image."""
        where = f"{self.file}, image {shown(self.image)}"
        return decode_segmentation(self.segmentation, self.size, where)


def read_coco_truths(file: Path) -> tuple[CocoTruth, ...]:
    """One truth an image in the order of the file.

    Raises `DataError` when it is no such file, or an image has not exactly one annotation.
    """
    value = read_json(file)
    parts = [value.get(key) if isinstance(value, Mapping) else None for key in ("images", "annotations")]
    if not all(isinstance(part, list) and all(isinstance(entry, Mapping) for entry in part) for part in parts):
        raise DataError(f'{file} does not hold {{"images": [...], "annotations": [...]}}; fetch it again')
    images, annotations = parts
    by_image: dict[Any, list[Mapping[str, Any]]] = {}
    for annotation in annotations or ():
        id = annotation.get("image_id")
        if isinstance(id, str | int):
            by_image.setdefault(id, []).append(annotation)
    truths = tuple(_truth(image, by_image, file) for image in images or ())
    twice = next((id for id, count in Counter(truth.image for truth in truths).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{file}: image {shown(twice)} stands twice; fetch the file again")
    return truths


def _truth(image: Mapping[str, Any], by_image: Mapping[Any, list[Mapping[str, Any]]], file: Path) -> CocoTruth:
    id = image.get("id")
    found = by_image.get(id, []) if isinstance(id, str | int) else []
    where = f"{file}: image {shown(id)}"
    if len(found) != 1 or not isinstance(id, str | int):
        raise DataError(f"{where} has {len(found)} annotations, and a text means one; fetch the file again")
    (annotation,) = found
    height, width, box = image.get("height"), image.get("width"), annotation.get("bbox")
    if not _is_side(height) or not _is_side(width) or "segmentation" not in annotation:
        raise DataError(f"{where} lacks height, width or a segmentation; fetch the file again")
    if box is not None and not is_box(box):
        raise DataError(f"{where} has a bbox that is no [x, y, width, height] of finite numbers; fetch the file again")
    return CocoTruth(
        file, id, (height, width), annotation["segmentation"], None if box is None else tuple(map(float, box))
    )


def _is_side(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and 0 < value <= MAX_PIXELS
