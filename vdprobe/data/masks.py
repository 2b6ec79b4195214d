"""Masks of a video's frames: which object each pixel shows, and where an object is.

A pixel of 255 is void: no object. But in a video whose masks hold 0 and 255 alone, as DAVIS published them in 2016,
255 is the one object, `"1"`, as DAVIS's own loaders of that time have it (davis-matlab, db_read_annot.m; davis-2017,
dataset/base.py). davis2017-evaluation finds no object in such masks.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from vdprobe.data.frames import count_frames, frame_size
from vdprobe.data.names import named_entry
from vdprobe.data.open_picture import MASK_FORMATS, open_picture
from vdprobe.data.resize import padded_size, target_size
from vdprobe.data.video import LackError, Video
from vdprobe.errors import DataError
from vdprobe.specs.video import Resize

INDEX_KINDS = ("P", "P;1", "P;2", "P;4", "L", "1")
"""How Pillow spells the pixels of a PNG that holds one small integer a pixel.

Grey of 2 or 4 bits is not among them: Pillow spreads its values over 0..255.
"""
VOID = 255


def read_object_mask(video: Video, object_ids: Sequence[str], frames: Sequence[int]) -> Bool[np.ndarray, "F H W"]:
    """Where any of the objects is in each of `frames`: for every dataset, whether or not its masks overlap.

    `object_ids` are an expression's; without one the mask is empty. Raises `DataError` for a video without masks,
    an id that its masks cannot have, and a mask that is missing, damaged or of another size than its frame.
    """
    masks = video.annotations
    if isinstance(masks, Path) or masks is None:
        labels = [_label(video, id) for id in object_ids]
        return np.isin(read_labels(video, frames), labels)
    out = []
    for frame in frames:
        size = frame_size(video, frame)
        mask = np.zeros(size, dtype=bool)
        for id in object_ids:
            part = masks.read(id, frame, size)
            if part.shape != size:
                raise _size_error(f"the mask of object '{id}' in frame {frame} of video '{video.id}'", part.shape, size)
            mask |= part
        out.append(mask)
    return np.stack(out)


def is_label(object_id: str) -> bool:
    """Whether an id can be the value of a pixel."""
    return object_id.isascii() and object_id.isdecimal() and len(object_id) < 20 and 0 < int(object_id) < VOID


def _label(video: Video, object_id: str) -> int:
    if is_label(object_id):
        return int(object_id)
    raise DataError(f"video '{video.id}': the object id '{object_id}' is no label of a mask; labels are 1 to 254")


def read_labels(video: Video, frames: Sequence[int]) -> UInt8[np.ndarray, "F H W"]:
    """The object that each pixel of `frames` shows: 0 for the background, 255 for void, else `int(object_id)`.

    Of a video that `shows_one_object` the labels are 0 and 1.

    Raises `DataError` for a video without masks or with masks of each object, a frame whose mask is missing
    or damaged, is no palette or grey PNG, or has another size than its frame.
    """
    if video.annotations is None:
        raise DataError(f"video '{video.id}' ({video.source}) has no masks; unpack the dataset's Annotations there")
    if not isinstance(video.annotations, Path):
        raise DataError(
            f"video '{video.id}' has a mask for each object, and a pixel may belong to several: use read_object_mask"
        )
    labels = np.stack([_read(video, video.annotations, index) for index in frames])
    return as_one_object(labels) if labels.max(initial=0) == VOID and shows_one_object(video) else labels


def shows_one_object(video: Video) -> bool:
    """Whether the masks of a video hold 0 and 255 alone, and some 255: then that is object `"1"`.

    Its masks are looked at until one holds another value, as mostly the first does. A mask that is missing or damaged
    tells nothing, and is an error when it is read.
    """
    folder = video.annotations
    if not isinstance(folder, Path):
        return False
    paths = [named_entry(folder, f"{_frame(video, index).stem}.png") for index in range(count_frames(video))]
    return _one_object(tuple((path, path.stat().st_mtime_ns) for path in paths if path.is_file()))


def is_one_object(labels: UInt8[np.ndarray, "..."]) -> bool:
    """Whether labels are 0 and 255 alone, and some 255."""
    return bool((labels == VOID).any() and ((labels == VOID) | (labels == 0)).all())


def as_one_object(labels: UInt8[np.ndarray, "*any"]) -> UInt8[np.ndarray, "*any"]:
    """1 instead of 255."""
    return (labels == VOID).astype(np.uint8)


@lru_cache(maxsize=1024)
def _one_object(files: tuple[tuple[Path, int], ...]) -> bool:
    found = False
    for path, _ in files:
        try:
            labels = _read_png(path)
        except DataError:
            continue
        if labels.any():
            if not is_one_object(labels):
                return False
            found = True
    return found


def _frame(video: Video, index: int) -> Path:
    return Path(video.frame_names[index] if video.frame_names is not None else f"{index:05d}")


def _read(video: Video, annotations: Path, index: int) -> np.ndarray:
    size, frame = frame_size(video, index), _frame(video, index)
    path = named_entry(annotations, f"{frame.stem}.png")
    try:
        labels = _read_png(path)
    except FileNotFoundError as error:
        what = f"there is no mask {path} for the frame {frame.name}; unpack the masks again"
        raise LackError(what, "masks missing") from error
    if labels.shape != size:
        raise _size_error(str(path), labels.shape, size, frame.name)
    return labels


def _read_png(path: Path) -> np.ndarray:
    with open_picture(path, str(path), MASK_FORMATS, "unpack the masks again") as image:
        kind = str(image.tile[0][3])
        if kind not in INDEX_KINDS:
            error = f"{path} has pixels of kind '{kind}', no index; save masks as palette or 8-bit grey PNG"
            raise LackError(error, "masks of another size or kind")
        return np.asarray(image).astype(np.uint8)


def _size_error(what: str, found: tuple[int, ...], size: tuple[int, int], frame: str = "") -> LackError:
    sizes = f"is {found[1]}x{found[0]} pixels and its frame{frame and f' {frame}'} is {size[1]}x{size[0]}"
    return LackError(f"{what} {sizes}; masks and frames must have one size", "masks of another size or kind")


def prepare_labels(labels: UInt8[np.ndarray, "F H W"], resize: Resize) -> UInt8[np.ndarray, "F Hp Wp"]:
    """Labels where `prepare_frames` puts their pixels: mirrored if they are, the same target size, the padding 0.

    Each pixel takes the nearest label: a mean of labels would be a third object.
    """
    count, *source = labels.shape
    height, width = target_size(source[0], source[1], resize)
    if resize.flip:
        labels = labels[:, :, ::-1]
    out = np.zeros((count, *padded_size((height, width), resize)), dtype=np.uint8)
    for i in range(count):
        resized = Image.fromarray(labels[i]).resize((width, height), Image.Resampling.NEAREST)
        out[i, :height, :width] = np.asarray(resized)
    return out
