"""MeViS: frames in folders, expressions that mean several objects, and their masks as run lengths in one JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from vdprobe.data.expressions import make_expression
from vdprobe.data.folders import list_folder, listed_frame_names, natural_key
from vdprobe.data.names import named_entry
from vdprobe.data.ref_davis import META, entry_frames, listed_videos
from vdprobe.data.rle import decode_rle
from vdprobe.data.text_files import read_json
from vdprobe.data.video import Expression, Failure, LackError, Video, VideoSet, check_id, failure_of
from vdprobe.errors import ConfigError, DataError, suggest


def is_mevis(path: Path) -> bool:
    """Whether a folder has the layout."""
    return path.is_dir() and any((path / split / "JPEGImages").is_dir() for split in mevis_splits(path))


def mevis_splits(path: Path) -> list[str]:
    """The splits there are: `train`, `valid_u` with masks, `valid` without, ..."""
    return [folder.name for folder in list_folder(path) if (folder / META).is_file()]


def load_mevis(path: Path, split: str) -> VideoSet:
    """The videos of `<split>/meta_expressions.json`, masks from `<split>/mask_dict.json` where it is there.

    An expression's objects are its `anno_id`, which name masks over all videos (its `obj_id` count within one).
    What cannot be used is a failure. Raises `ConfigError` for an unknown split, `DataError` for a malformed file.
    """
    splits = mevis_splits(path)
    if split not in splits:
        raise ConfigError(f"{path} has no split '{split}' with a {META}; {suggest(split, splits)}")
    folder = path / split
    masks = folder / "mask_dict.json"
    annotations = MevisMasks(masks) if masks.is_file() else None
    videos, failures = [], []
    for id, entry in sorted(listed_videos(folder / META).items()):
        try:
            images = named_entry(folder / "JPEGImages", check_id(id, str(folder)))
            names = listed_frame_names(images, entry_frames(id, entry))
            expressions, broken = _expressions(id, entry.get("expressions", {}), folder)
        except DataError as error:
            failures.append(failure_of(id, error))
            continue
        videos.append(Video(id, images, names, expressions, annotations))
        failures.extend(broken)
    return VideoSet(tuple(videos), tuple(failures))


@dataclass(frozen=True)
class MevisMasks:
    """The masks of a `mask_dict.json`: `{"<anno_id>": [run lengths or null, one for each frame]}`."""

    file: Path

    def read(self, object_id: str, frame: int, size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
        """Where the object is; nowhere in a frame whose entry is null."""
        frames = _mask_dict(self.file, self.file.stat().st_mtime_ns).get(object_id)
        if not isinstance(frames, list) or frame >= len(frames):
            error = f"{self.file} has no mask of anno_id {object_id} for frame {frame}; fetch the file again"
            raise LackError(error, "masks missing")
        rle = frames[frame]
        if rle is None:
            return np.zeros(size, dtype=bool)
        return decode_rle(rle, size, f"{self.file}, anno_id {object_id}, frame {frame}")


@lru_cache(maxsize=2)
def _mask_dict(file: Path, _: int) -> Mapping[str, Any]:
    value = read_json(file)
    if not isinstance(value, Mapping):
        raise DataError(f"{file} is no mapping of anno_id to masks; fetch the file again")
    return value


def _expressions(video: str, listed: Any, folder: Path) -> tuple[tuple[Expression, ...], list[Failure]]:
    if not isinstance(listed, Mapping):
        raise DataError(f"{folder}: the 'expressions' of video {video!r} are no mapping of ids; fetch the file again")
    good, failures = [], []
    for id in sorted(listed, key=natural_key):
        try:
            good.append(_expression(id, listed[id], f"{folder}, video {video!r}"))
        except DataError as error:
            failures.append(failure_of(f"{video}/{id}", error))
    return tuple(good), failures


def _expression(id: str, value: Any, where: str) -> Expression:
    text = value.get("exp") if isinstance(value, Mapping) else None
    ids = value.get("anno_id") if isinstance(value, Mapping) else None
    known = ids is None or (isinstance(ids, list) and all(isinstance(i, int | str) for i in ids))
    if not isinstance(text, str) or not known:
        raise DataError(f"{where}: expression {id!r} has no text 'exp' with a list 'anno_id'; fetch the file again")
    return make_expression(id, text, where, None if ids is None else tuple(str(i) for i in ids))
