"""Masks of a video's frames: which object each pixel shows, and where an object is."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, UnidentifiedImageError

from vdprobe.data.frames import frame_size
from vdprobe.data.resize import padded_size, target_size
from vdprobe.data.video import LackError, Video
from vdprobe.errors import DataError
from vdprobe.specs.video import Resize

INDEX_KINDS = ("P", "P;1", "P;2", "P;4", "L", "1")
"""How Pillow spells the pixels of a PNG that holds one small integer a pixel.

Grey of 2 or 4 bits is not among them: Pillow spreads its values over 0..255.
"""


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
    return object_id.isdecimal() and 0 < int(object_id) < 256


def _label(video: Video, object_id: str) -> int:
    if is_label(object_id):
        return int(object_id)
    raise DataError(f"video '{video.id}': the object id '{object_id}' is no label of a mask; labels are 1 to 255")


def read_labels(video: Video, frames: Sequence[int]) -> UInt8[np.ndarray, "F H W"]:
    """The object that each pixel of `frames` shows: 0 for the background, else an expression's `int(object_id)`.

    Raises `DataError` for a video without masks or with masks of each object, a frame whose mask is missing
    or damaged, is no palette or grey PNG, or has another size than its frame.
    """
    if video.annotations is None:
        raise DataError(f"video '{video.id}' ({video.source}) has no masks; unpack the dataset's Annotations there")
    if not isinstance(video.annotations, Path):
        raise DataError(
            f"video '{video.id}' has a mask for each object, and a pixel may belong to several: use read_object_mask"
        )
    return np.stack([_read(video, video.annotations, index) for index in frames])


def _read(video: Video, annotations: Path, index: int) -> np.ndarray:
    size = frame_size(video, index)
    frame = Path(video.frame_names[index] if video.frame_names is not None else f"{index:05d}")
    path = annotations / f"{frame.stem}.png"
    try:
        with Image.open(path, formats=("PNG",)) as image:
            kind = str(image.tile[0][3])
            if kind not in INDEX_KINDS:
                error = f"{path} has pixels of kind '{kind}', no index; save masks as palette or 8-bit grey PNG"
                raise LackError(error, "masks of another size or kind")
            labels = np.asarray(image).astype(np.uint8)
    except FileNotFoundError as error:
        what = f"there is no mask {path} for the frame {frame.name}; unpack the masks again"
        raise LackError(what, "masks missing") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path} is not a PNG; unpack the masks again") from error
    except (OSError, SyntaxError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} cannot be read ({reason}); unpack the masks again") from error
    if labels.shape != size:
        raise _size_error(str(path), labels.shape, size, frame.name)
    return labels


def _size_error(what: str, found: tuple[int, ...], size: tuple[int, int], frame: str = "") -> LackError:
    sizes = f"is {found[1]}x{found[0]} pixels and its frame{frame and f' {frame}'} is {size[1]}x{size[0]}"
    return LackError(f"{what} {sizes}; masks and frames must have one size", "masks of another size or kind")


def prepare_labels(labels: UInt8[np.ndarray, "F H W"], resize: Resize) -> UInt8[np.ndarray, "F Hp Wp"]:
    """Labels where `prepare_frames` puts their pixels: the same target size, the padding 0.

    Each pixel takes the nearest label: a mean of labels would be a third object.
    """
    count, *source = labels.shape
    height, width = target_size(source[0], source[1], resize)
    out = np.zeros((count, *padded_size((height, width), resize)), dtype=np.uint8)
    for i in range(count):
        resized = Image.fromarray(labels[i]).resize((width, height), Image.Resampling.NEAREST)
        out[i, :height, :width] = np.asarray(resized)
    return out
