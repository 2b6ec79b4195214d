"""A2D-Sentences: clips as mp4, masks of a few frames as HDF5, and the samples that MTTR took from them."""

from collections import defaultdict
from dataclasses import dataclass
from os.path import isfile
from pathlib import Path
from reprlib import repr as shorten
from typing import Any

import numpy as np
from jaxtyping import Bool

from vdprobe.data.expressions import make_expression
from vdprobe.data.plain_h5 import open_plain_h5, plain_array
from vdprobe.data.text_files import read_list
from vdprobe.data.video import Expression, Failure, LackError, Video, VideoSet, check_id, failure_of
from vdprobe.errors import ConfigError, DataError, suggest

SPLITS = ("train", "test")
CLIPS = ("clips320H", "CLIPS320")
"""Where the clips lie under `Release`: as published, and as VD-IT's code has it."""
MASKS = "text_annotations/a2d_annotation_with_instances"
MOST_INSTANCES = 1000
"""Of a frame; the dataset's have a dozen."""


def is_a2d(path: Path) -> bool:
    """Whether a folder has the layout."""
    return bool(a2d_splits(path))


def a2d_splits(path: Path) -> list[str]:
    """The splits whose samples are there."""
    return [split for split in SPLITS if _samples(path, split).is_file()]


def load_a2d(path: Path, split: str) -> VideoSet:
    """The clips and samples of `a2d_sentences_single_frame_<split>_annotations.json`.

    Each sample `[text, video, frame, instance]` is an expression, with the frame that is annotated; together with
    the video's its id `f_<frame>_i_<instance>` is the published image id `v_<video>_f_<frame>_i_<instance>`, where
    frames count from 1. What cannot be used is a failure. Raises `ConfigError` for an unknown split, `DataError`
    for a folder without clips.
    """
    splits = a2d_splits(path)
    if split not in splits:
        raise ConfigError(f"{path} has no {_samples(path, split).name}; {suggest(split, splits or SPLITS)}")
    clips = next((path / "Release" / name for name in CLIPS if (path / "Release" / name).is_dir()), None)
    if clips is None:
        raise DataError(f"{path} has no clips (looked for Release/{' and Release/'.join(CLIPS)}); unpack A2D there")
    samples, failures = defaultdict(list), []
    for number, row in enumerate(read_list(_samples(path, split), "samples")):
        if _is_sample(row):
            samples[row[1]].append(row)
        else:
            failures.append(
                Failure(
                    f"samples/{number}",
                    f"sample {number} is no [text, video, frame from 1 on, instance]: {shorten(row)}",
                )
            )
    videos = []
    for id in sorted(samples):
        file = clips / f"{id}.mp4"
        try:
            check_id(id, str(path))
            if not file.is_file():
                raise LackError(f"there is no clip {file}; unpack A2D again", "frames missing")
        except DataError as error:
            failures.append(failure_of(id, error))
            continue
        expressions, broken = _expressions(id, samples[id], path)
        masks = path / MASKS / id
        videos.append(Video(id, file, None, expressions, A2dMasks(masks) if masks.is_dir() else None))
        failures.extend(broken)
    return VideoSet(tuple(videos), tuple(failures))


@dataclass(frozen=True)
class A2dMasks:
    """The masks of a clip's annotated frames: `00001.h5` of the first frame, and so on.

    `instance` holds the ids and `reMask` a mask of each, (instance, width, height), or (width, height) of a single
    one: files from MATLAB have their axes in reverse.
    """

    folder: Path

    def read(self, object_id: str, frame: int, size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
        """Where the instance is in an annotated frame."""
        path = self.folder / f"{frame + 1:05d}.h5"
        if not isfile(path):
            what = f"there is no mask {path}: frame {frame + 1} is not annotated, or the masks are not all unpacked"
            raise LackError(what, "masks missing")
        with open_plain_h5(path, "'instance' and 'reMask'", "unpack a2d_annotation_with_instances again") as file:
            instances, masks = plain_array(file, "instance"), plain_array(file, "reMask")
            if instances.size > MOST_INSTANCES:
                raise DataError(f"{path} has {instances.size} instances, {MOST_INSTANCES} are the most; fetch it again")
            ids = [str(int(id)) for id in np.ravel(instances[()])]
            count = 1 if masks.ndim == 2 else len(masks)
            if object_id not in ids or masks.ndim not in (2, 3) or count != len(ids):
                what = f"{path} has no mask of instance {object_id}, it has {', '.join(ids)} ({count} masks)"
                raise LackError(f"{what}; fetch the file again", "masks missing")
            if ids.count(object_id) > 1:
                raise DataError(f"{path} has {ids.count(object_id)} masks of instance {object_id}; fetch it again")
            mask = masks[()] if masks.ndim == 2 else masks[ids.index(object_id)]
            return np.asarray(mask.T > 0)


def _samples(path: Path, split: str) -> Path:
    return path / f"a2d_sentences_single_frame_{split}_annotations.json"


def _is_sample(row: Any) -> bool:
    if not isinstance(row, list) or [type(cell) for cell in row] != [str, str, int, int]:
        return False
    return row[2] > 0


def _expressions(video: str, samples: list[Any], path: Path) -> tuple[tuple[Expression, ...], list[Failure]]:
    good: dict[str, Expression] = {}
    failures = []
    for text, _, frame, instance in samples:
        id = f"f_{frame}_i_{instance}"
        try:
            if id in good:
                raise DataError(f"{path}: the sample v_{video}_{id} stands twice; fetch the file again")
            good[id] = make_expression(id, text, f"{path}, video {video!r}", (str(instance),), frame - 1)
        except DataError as error:
            failures.append(failure_of(f"{video}/{id}", error))
    return tuple(good.values()), failures
