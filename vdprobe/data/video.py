"""`Video` and `Expression`: what is looked at, and under which id it is stored."""

import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool

from vdprobe.errors import DataError, one_line

ID_BYTES = 200
"""The longest id: file systems stop at 255 bytes, and suffixes are appended to ids."""

SHOWN_ID = 2 * ID_BYTES + 1
"""Characters of a failure's place: those of the ids of a video and an expression that can be used."""


@dataclass(frozen=True)
class Expression:
    """A text that refers to objects of a video.

    `object_ids` name them as the masks do: none where the text fits nothing in the video, None where the dataset
    hides them. `frame` is the index of the one frame in which they are annotated, None where all frames are.
    `difficulty` is what it takes to tell the objects by the text, where the dataset says it, as MovingShapes does.
    """

    id: str
    text: str
    object_ids: tuple[str, ...] | None = None
    frame: int | None = None
    difficulty: str | None = None

    @property
    def object_id(self) -> str | None:
        """The object where it is exactly one."""
        return self.object_ids[0] if self.object_ids is not None and len(self.object_ids) == 1 else None


@runtime_checkable
class ObjectMasks(Protocol):
    """Masks that a dataset keeps for each object, so that they may overlap."""

    def read(self, object_id: str, frame: int, size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
        """Where an object is in the frame with an index, which has `size` (height, width).

        Raises `DataError` for a mask that is missing or damaged.
        """


@dataclass(frozen=True)
class Video:
    """Frames with an id.

    `source` is a video file when `frame_names` is None, otherwise the folder that holds the frames,
    and `frame_names` are their file names in order. `annotations` is the folder of its masks, a palette
    PNG with the stem of each frame (of a video file: its index, `00000`), or masks of each object, None where
    the dataset has or shows none. `read_object_mask` reads either. `rotate` turns frames as their file asks of
    players; a dataset's are taken as stored, as its masks are.
    """

    id: str
    source: Path
    frame_names: tuple[str, ...] | None = None
    expressions: tuple[Expression, ...] = ()
    annotations: Path | ObjectMasks | None = None
    rotate: bool = True


Lack = Literal["frames missing", "texts empty", "masks missing", "masks of another size or kind"]


class LackError(DataError):
    """A `DataError` that says what is lacking, and how many of it: for those who count."""

    def __init__(self, message: str, lack: Lack, count: int = 1) -> None:
        super().__init__(message)
        self.lack, self.count = lack, count


@dataclass(frozen=True)
class Failure:
    """Something that cannot be used: `where` it is (`video`, `video/expression`, a clip) and a one-line `error`.

    `lack` and `count` are those of a `LackError`.
    """

    where: str
    error: str
    lack: Lack | None = None
    count: int = 1


def failure_of(where: str, error: Exception) -> Failure:
    """What went wrong, as something to list."""
    where, line = one_line(where, SHOWN_ID), one_line(str(error))
    if isinstance(error, LackError):
        return Failure(where, line, error.lack, error.count)
    return Failure(where, line)


@dataclass(frozen=True)
class VideoSet:
    """The usable videos and the failures, both sorted by id."""

    videos: tuple[Video, ...]
    failures: tuple[Failure, ...]


def check_id(id: str, where: str) -> str:
    """`id` itself when it can name a folder; `where` (a path, say) tells the reader whose id it is.

    Raises `DataError` for an id that is empty, too long, holds a separator or control characters,
    or would leave its folder.
    """
    if not id:
        raise DataError(f"{where}: an id is empty; ids become folder names, so give it at least one character")
    if id in (".", "..") or "/" in id or "\\" in id:
        raise DataError(
            f"{where}: the id {id!r} tries to leave its folder; ids become folder names, "
            "so rename it without '/', '\\', '.' or '..'"
        )
    # Cs: the lone surrogates that stand for file names which are not UTF-8
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in id):
        raise DataError(
            f"{where}: the id {id!r} holds control characters or bytes that are not UTF-8; "
            "ids become folder names, so rename it to printable characters"
        )
    length = len(id.encode())
    if length > ID_BYTES:
        raise DataError(
            f"{where}: the id {id[:24]!r}... is {length} bytes long; ids become folder names, "
            f"so shorten it to {ID_BYTES} bytes"
        )
    return id


def normalise_text(text: str) -> str:
    """Lower case with single spaces: how the ReferFormer line of code reads its captions in training."""
    return " ".join(text.lower().split())
