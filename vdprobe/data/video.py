"""`Video` and `Expression`: what is looked at, and under which id it is stored."""

import unicodedata
from dataclasses import dataclass
from pathlib import Path

from vdprobe.errors import DataError

ID_BYTES = 200
"""The longest id: file systems stop at 255 bytes, and suffixes are appended to ids."""


@dataclass(frozen=True)
class Expression:
    """A text that refers to one object of a video; `object_id` is None where the dataset hides it."""

    id: str
    text: str
    object_id: str | None = None


@dataclass(frozen=True)
class Video:
    """Frames with an id.

    `source` is a video file when `frame_names` is None, otherwise the folder that holds the frames,
    and `frame_names` are their file names in order.
    """

    id: str
    source: Path
    frame_names: tuple[str, ...] | None = None
    expressions: tuple[Expression, ...] = ()


@dataclass(frozen=True)
class Failure:
    """Something that cannot be used: `where` it is (`video`, `video/expression`, a clip) and a one-line `error`."""

    where: str
    error: str


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
    """Lower case with single spaces: how the ReferFormer line of code reads its captions."""
    return " ".join(text.lower().split())
