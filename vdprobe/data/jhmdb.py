"""JHMDB-Sentences: frames as PNG, one puppet mask a frame in a .mat file, and the samples that MTTR took from them."""

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from os.path import isfile
from pathlib import Path
from reprlib import repr as shorten
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from vdprobe.data.expressions import make_expression
from vdprobe.data.folders import listed_frame_names
from vdprobe.data.plain_mat import read_mat_array
from vdprobe.data.text_files import read_list
from vdprobe.data.video import Expression, Failure, LackError, Video, VideoSet, check_id, failure_of
from vdprobe.errors import ConfigError, DataError, shown, suggest

SAMPLES = "jhmdb_sentences_samples_metadata.json"
FRAMES, MASKS = "Rename_Images", "puppet_mask"
MOST_FRAMES = 10_000
"""Of a video; the longest of the dataset has 40."""
ACTOR = "1"
"""The id of the one object that every video's masks show."""


def is_jhmdb(path: Path) -> bool:
    """Whether a folder has the layout."""
    return (path / SAMPLES).is_file()


def jhmdb_splits(path: Path) -> list[str]:
    """`test` alone: nobody trains on it."""
    return ["test"] if is_jhmdb(path) else []


def load_jhmdb(path: Path, split: str) -> VideoSet:
    """The videos and samples of `jhmdb_sentences_samples_metadata.json`.

    Each sample `[video, frame, masks, number of frames, text]` is an expression, with the frame that is annotated;
    its id `f_<frame>` makes the published image id `v_<video>_f_<frame>`, where frames count from 1. Paths count
    from `Rename_Images` and `puppet_mask` on, whatever stands before. What cannot be used is a failure. Raises
    `ConfigError` for another split, `DataError` for a folder without the layout.
    """
    if split != "test":
        raise ConfigError(f"JHMDB-Sentences has no split '{split}'; {suggest(split, ['test'])}")
    samples, failures = defaultdict(list), []
    for number, row in enumerate(read_list(path / SAMPLES, "samples")):
        try:
            sample = _parse(row)
            samples[sample.video].append(sample)
        except ValueError:
            shape = "[video, .../Rename_Images/.../00001.png, .../puppet_mask/..., number of frames, text]"
            failures.append(Failure(f"samples/{number}", f"sample {number} is no {shape}: {shorten(row)}"))
    videos = []
    for id in sorted(samples):
        first = samples[id][0]
        folder = path / first.folder
        try:
            check_id(id, str(path))
            if any((s.folder, s.masks, s.count) != (first.folder, first.masks, first.count) for s in samples[id]):
                raise DataError(f"{path}: the samples of video {id!r} name different folders; fetch the file again")
            if not 0 < first.count <= MOST_FRAMES:
                what = f"the samples of video {id!r} say that it has {shown(first.count)} frames"
                raise DataError(f"{path}: {what}, 1 to {MOST_FRAMES} are read; fetch the file again")
            names = listed_frame_names(folder, [f"{frame:05d}" for frame in range(1, first.count + 1)])
        except DataError as error:
            failures.append(failure_of(id, error))
            continue
        expressions, broken = _expressions(samples[id], path)
        masks = path / first.masks
        videos.append(Video(id, folder, names, expressions, JhmdbMasks(masks) if isfile(masks) else None))
        failures.extend(broken)
    return VideoSet(tuple(videos), tuple(failures))


@dataclass(frozen=True)
class JhmdbMasks:
    """The masks of a video: `part_mask` of a `puppet_mask.mat`, (height, width, frame)."""

    file: Path

    def read(self, object_id: str, frame: int, size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
        """Where the actor is; a few of the last frames may have no mask."""
        masks = _part_mask(self.file, self.file.stat().st_mtime_ns)
        if object_id != ACTOR or frame >= masks.shape[2]:
            error = f"{self.file} has {masks.shape[2]} masks of object '{ACTOR}', and none of '{object_id}' for frame"
            raise LackError(f"{error} {frame}", "masks missing")
        return masks[:, :, frame] > 0


@lru_cache(maxsize=4)
def _part_mask(file: Path, _: int) -> Shaped[np.ndarray, "H W F"]:
    masks = read_mat_array(file, "part_mask", "unpack the puppet masks again")
    # loadmat keeps the last axis of a single frame, as MATLAB does not
    masks = masks[:, :, None] if masks.ndim == 2 else masks
    if masks.ndim != 3:
        raise DataError(f"{file}: 'part_mask' has shape {masks.shape}, not (height, width, frame)")
    return masks


@dataclass(frozen=True)
class _Sample:
    video: str
    folder: Path
    frame: int
    masks: Path
    count: int
    text: str


def _parse(row: Any) -> _Sample:
    if not isinstance(row, list) or [type(cell) for cell in row] != [str, str, str, int, str]:
        raise ValueError
    video, frame, masks, count, text = row
    picture = _from(FRAMES, frame)
    return _Sample(video, picture.parent, int(picture.stem), _from(MASKS, masks), count, text)


def _from(folder: str, path: str) -> Path:
    parts = Path(path).parts
    inner = parts[parts.index(folder) :]  # ValueError where it is not in it
    if ".." in inner:
        raise ValueError
    return Path(*inner)


def _expressions(samples: list[_Sample], path: Path) -> tuple[tuple[Expression, ...], list[Failure]]:
    good: dict[str, Expression] = {}
    failures = []
    for sample in samples:
        id = f"f_{sample.frame}"
        try:
            if id in good:
                raise DataError(f"{path}: the sample v_{sample.video}_{id} stands twice; fetch the file again")
            where = f"{path}, video {sample.video!r}"
            if not 1 <= sample.frame <= sample.count:
                raise DataError(f"{where}: its sample {id} is not one of its {sample.count} frames")
            good[id] = make_expression(id, sample.text, where, (ACTOR,), sample.frame - 1)
        except DataError as error:
            failures.append(failure_of(f"{sample.video}/{id}", error))
    return tuple(good.values()), failures
