"""The truth of A2D-Sentences, JHMDB-Sentences and RefCOCO as their evaluation reads it: one annotation an image."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vdprobe.data.text_files import read_json
from vdprobe.errors import DataError

NAMES = {
    "a2d": "a2d_sentences_test_annotations_in_coco_format.json",
    "jhmdb": "jhmdb_sentences_gt_annotations_in_coco_format.json",
}
"""Under which name a dataset's folder holds it."""


@dataclass(frozen=True)
class ImageTruth:
    """What one text means: `segmentation` as COCO writes it, `size` (height, width), `box` x, y, width, height."""

    image: str | int
    size: tuple[int, int]
    segmentation: Any
    box: tuple[float, ...] | None


def read_image_truth(path: Path, benchmark: str) -> list[ImageTruth]:
    """One truth an image in the order of the file; `path` is the JSON, or a folder that holds it (`NAMES`).

    Raises `DataError` when it is not there, or an image has not exactly one annotation.
    """
    if path.is_dir():
        if benchmark not in NAMES:
            raise DataError(f"{path} is a folder; for '{benchmark}' give its instances_<dataset>_<split>.json")
        path = path / NAMES[benchmark]
    value = read_json(path)
    parts = [value.get(key) if isinstance(value, Mapping) else None for key in ("images", "annotations")]
    if not all(isinstance(part, list) and all(isinstance(entry, Mapping) for entry in part) for part in parts):
        raise DataError(f'{path} does not hold {{"images": [...], "annotations": [...]}}; fetch it again')
    images, annotations = parts
    by_image: dict[Any, list[Mapping[str, Any]]] = {}
    for annotation in annotations or ():
        by_image.setdefault(annotation.get("image_id"), []).append(annotation)
    return [_truth(image, by_image, path) for image in images or ()]


def _truth(image: Mapping[str, Any], by_image: Mapping[Any, list[Mapping[str, Any]]], path: Path) -> ImageTruth:
    id = image.get("id")
    found = by_image.get(id, [])
    if len(found) != 1 or not isinstance(id, str | int):
        raise DataError(
            f"{path}: image {id!r} has {len(found)} annotations, and a text means one; fetch the file again"
        )
    (annotation,) = found
    try:
        size = int(image["height"]), int(image["width"])
        segmentation = annotation["segmentation"]
        box = annotation.get("bbox")
        return ImageTruth(id, size, segmentation, None if box is None else tuple(map(float, box)))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: image {id!r} lacks height, width or a segmentation; fetch the file again") from error
