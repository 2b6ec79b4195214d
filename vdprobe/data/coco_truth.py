"""The truth about images as COCO's format has it: a JSON with one annotation for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from vdprobe.data.rle import decode_segmentation
from vdprobe.data.text_files import read_json
from vdprobe.errors import DataError


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
        where = f"{self.file}, image {self.image!r}"
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
        by_image.setdefault(annotation.get("image_id"), []).append(annotation)
    return tuple(_truth(image, by_image, file) for image in images or ())


def _truth(image: Mapping[str, Any], by_image: Mapping[Any, list[Mapping[str, Any]]], file: Path) -> CocoTruth:
    id = image.get("id")
    found = by_image.get(id, [])
    if len(found) != 1 or not isinstance(id, str | int):
        raise DataError(
            f"{file}: image {id!r} has {len(found)} annotations, and a text means one; fetch the file again"
        )
    (annotation,) = found
    try:
        size = int(image["height"]), int(image["width"])
        segmentation = annotation["segmentation"]
        box = annotation.get("bbox")
        return CocoTruth(file, id, size, segmentation, None if box is None else tuple(map(float, box)))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file}: image {id!r} lacks height, width or a segmentation; fetch the file again") from error
