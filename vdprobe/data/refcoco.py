"""RefCOCO, RefCOCO+ and RefCOCOg: pictures of COCO 2014 as videos of one frame."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from vdprobe.data.expressions import make_expression
from vdprobe.data.plain_pickle import read_plain_pickle
from vdprobe.data.predictions import is_box
from vdprobe.data.rle import decode_segmentation
from vdprobe.data.text_files import read_json
from vdprobe.data.video import Expression, Failure, LackError, Video, VideoSet, failure_of
from vdprobe.errors import ConfigError, DataError, shown, suggest

REFS = {"refcoco": "refs(unc).p", "refcoco+": "refs(unc).p", "refcocog": "refs(umd).p"}
"""The references of each dataset, in the split that results are reported for."""
MOST_ID = 10**12
"""Ids of images and annotations are below: file names have as many digits."""
IMAGES = ("train2014", "images/train2014", "images/mscoco/images/train2014")
"""Where the pictures lie: beside the datasets, or as the toolbox `refer` has it."""


def is_refcoco(path: Path, name: str) -> bool:
    """Whether a folder holds the dataset, in a folder of its name."""
    return (path / name / REFS[name]).is_file()


def refcoco_splits(path: Path, name: str) -> list[str]:
    """The splits of the references, in order of appearance."""
    return list(dict.fromkeys(ref["split"] for ref in _read_refs(path / name / REFS[name])))


def load_refcoco(path: Path, split: str, name: str) -> VideoSet:
    """The pictures and sentences of `<name>/refs(unc|umd).p`; `name` is that of the dataset.

    Pictures are `train2014/COCO_train2014_<image id>.jpg`, in `path` or where the toolbox `refer` puts them; masks
    are those of `<name>/instances.json` by their `ann_id`. A sentence's id is its `sent_id`, its text `sent` (lower
    case, as everyone reports). What cannot be used is a failure. Raises `ConfigError` for an unknown split,
    `DataError` for missing or malformed files.
    """
    refs = _read_refs(path / name / REFS[name])
    by_image = defaultdict(list)
    for ref in refs:
        if ref["split"] == split:
            by_image[ref["image_id"]].append(ref)
    if not by_image:
        splits = list(dict.fromkeys(ref["split"] for ref in refs))
        raise ConfigError(f"{name} has no split '{split}'; {suggest(split, splits)}")
    places = [folder / place for folder in (path, path.parent) for place in IMAGES]
    images = next((place for place in places if place.is_dir()), None)
    if images is None:
        raise DataError(f"{path} has no pictures (looked for {', '.join(IMAGES)}); unpack train2014.zip of COCO there")
    instances = path / name / "instances.json"
    masks = CocoMasks(instances) if instances.is_file() else None
    videos, failures = [], []
    for image, found in sorted(by_image.items()):
        file = images / f"COCO_train2014_{image:012d}.jpg"
        if not file.is_file():
            error = LackError(f"there is no picture {file}; unpack train2014.zip of COCO again", "frames missing")
            failures.append(failure_of(file.stem, error))
            continue
        expressions, broken = _expressions(file.stem, found, path / name)
        videos.append(Video(file.stem, images, (file.name,), expressions, masks))
        failures.extend(broken)
    return VideoSet(tuple(videos), tuple(failures))


@dataclass(frozen=True)
class CocoMasks:
    """The masks of an `instances.json` by annotation, as polygons or run lengths."""

    file: Path

    def read(self, object_id: str, frame: int, size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
        """Where the annotated object is in its picture."""
        return self.one(object_id).read(object_id, frame, size)

    def one(self, object_id: str) -> "CocoMask":
        """One annotation, for a process that is not to read the whole file."""
        found = _annotations(self.file, self.file.stat().st_mtime_ns)
        if object_id not in found:
            raise LackError(f"{self.file} has no annotation {object_id}; fetch the file again", "masks missing")
        return found[object_id]


@dataclass(frozen=True)
class CocoMask:
    """An annotation of an `instances.json`: its `segmentation` and, where it has one, its `box` as they stand there.

    A box is x, y, width, height in pixels.
    """

    file: Path
    id: str
    segmentation: Any
    box: tuple[float, ...] | None

    def read(self, object_id: str, frame: int, size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
        """Where the annotated object is in its picture."""
        return decode_segmentation(self.segmentation, size, f"{self.file}, annotation {self.id}")


@lru_cache(maxsize=2)
def _annotations(file: Path, _: int) -> Mapping[str, CocoMask]:
    value = read_json(file)
    try:
        found = [_annotation(file, annotation) for annotation in value["annotations"]]
    except (KeyError, TypeError, ValueError) as error:  # ValueError: a number with more digits than Python writes
        raise DataError(f"{file} holds no annotations with id and segmentation; fetch the file again") from error
    out = {annotation.id: annotation for annotation in found}
    if len(out) < len(found):
        twice = next(id for id, count in Counter(annotation.id for annotation in found).items() if count > 1)
        raise DataError(f"{file}: annotation {shown(twice)} stands twice; fetch the file again")
    return out


def _annotation(file: Path, found: Any) -> CocoMask:
    if not isinstance(found, Mapping):
        raise TypeError
    box = found.get("bbox")
    if box is not None and not is_box(box):
        raise DataError(
            f"{file}: annotation {shown(found['id'])} has a bbox that is no [x, y, width, height] of finite numbers; "
            "fetch the file again"
        )
    return CocoMask(file, str(found["id"]), found["segmentation"], None if box is None else tuple(map(float, box)))


def _read_refs(file: Path) -> list[Any]:
    if not file.is_file():
        there = ", ".join(sorted(found.name for found in file.parent.glob("refs*"))) or "none"
        raise DataError(f"there is no {file} (of refs there: {there}); unpack the dataset of the toolbox refer there")
    return _checked_refs(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _checked_refs(file: Path, _: int) -> list[Any]:
    refs = read_plain_pickle(file)
    kinds = {"split": str, "image_id": int, "ann_id": int, "sentences": list}
    if not isinstance(refs, list) or not all(
        isinstance(ref, dict)
        and all(isinstance(ref.get(key), kind) for key, kind in kinds.items())
        and all(0 <= ref[key] < MOST_ID for key in ("image_id", "ann_id"))
        for ref in refs
    ):
        raise DataError(f"{file} holds no list of references with {', '.join(kinds)}; fetch the file again")
    return refs


def _expressions(video: str, refs: list[Any], path: Path) -> tuple[tuple[Expression, ...], list[Failure]]:
    good: dict[str, Expression] = {}
    failures = []
    for ref in refs:
        for sentence in ref["sentences"]:
            found, text = (
                (sentence.get("sent_id"), sentence.get("sent")) if isinstance(sentence, dict) else (None, None)
            )
            known = isinstance(found, str) or (isinstance(found, int) and 0 <= found < MOST_ID)
            id = str(found) if known else "?"
            try:
                if not known or not isinstance(text, str) or id in good:
                    raise DataError(f"{path}: sentence {id} of {video} has no text 'sent' or stands twice")
                good[id] = make_expression(id, text, f"{path}, {video}", (str(ref["ann_id"]),))
            except DataError as error:
                failures.append(failure_of(f"{video}/{id}", error))
    return tuple(good.values()), failures
