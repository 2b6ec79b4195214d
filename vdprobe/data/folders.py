"""Folders of frames and of video files: which files count, and in which order."""

import re
from collections.abc import Iterable, Sequence
from os.path import isdir
from pathlib import Path

from vdprobe.data.names import nfc
from vdprobe.data.video import LackError, Video, check_id
from vdprobe.errors import DataError

# fmt: off
VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif",
    ".3gp", ".3g2", ".f4v", ".mpg", ".mpeg", ".m2v", ".vob", ".ts",
    ".mts", ".m2ts", ".flv", ".wmv", ".asf", ".ogv", ".y4m",
)
# fmt: on
FRAME_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
OTHER_SUFFIXES = (".rm", ".rmvb", ".mxf", ".swf", ".apng", ".avif", ".m3u8", ".ivf")
"""Videos that are not read: met in a folder they are reported, where a text file is passed over."""


def natural_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Sorts `2` before `10`, and `01` and `1` always the same way."""
    parts = re.split(r"([0-9]+)", name)
    # of two numbers without leading zeros the longer one is larger: none becomes an `int`, which has a longest text
    parts[1::2] = [part.lstrip("0") for part in parts[1::2]]
    return [(len(part) if i % 2 else 0, part) for i, part in enumerate(parts)], name


def list_folder(folder: Path) -> list[Path]:
    """What a folder holds in natural order, hidden entries left out; raises `DataError` if it cannot be read."""
    try:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror}; check the path") from error
    return sorted(entries, key=lambda entry: natural_key(entry.name))


def with_suffix(entries: Iterable[Path], suffixes: tuple[str, ...]) -> list[Path]:
    """The entries that end in one of the suffixes, in any case, and are not folders."""
    return [entry for entry in entries if entry.suffix.lower() in suffixes and not entry.is_dir()]


def frame_names(folder: Path) -> tuple[str, ...]:
    """The file names of the frames in a folder, in natural order.

    Raises `DataError` when there are none, or when two share a stem (a frame and its mask, say).
    """
    names = tuple(entry.name for entry in with_suffix(list_folder(folder), FRAME_SUFFIXES))
    if not names:
        raise DataError(f"{folder} holds no frames ({', '.join(FRAME_SUFFIXES)}); add them or remove the folder")
    by_stem: dict[str, str] = {}
    for name in names:
        other = by_stem.setdefault(Path(name).stem, name)
        if other != name:
            raise DataError(f"{folder} holds both {other} and {name}, so which is the frame is unclear; move one away")
    return names


def listed_frame_names(folder: Path, stems: Sequence[str]) -> tuple[str, ...]:
    """The file names of the frames that a dataset lists by their stems, in its order; raises `DataError`."""
    if not isdir(folder):  # unlike `Path.is_dir` also where a name is too long
        error = f"no frames on disk: there is no folder {folder}; unpack the video there"
        raise LackError(error, "frames missing", max(len(stems), 1))
    by_stem: dict[str, str] = {}
    for file in with_suffix(list_folder(folder), FRAME_SUFFIXES):
        other = by_stem.setdefault(nfc(file.stem), file.name)
        if other != file.name:
            raise DataError(f"{folder} holds both {other} and {file.name}; move the one away that is not the frame")
    missing = [stem for stem in stems if nfc(stem) not in by_stem]
    if missing:
        error = f"{len(missing)} of {len(stems)} frames are missing in {folder}, the first is {missing[0]!r}"
        raise LackError(f"{error}; unpack the video again", "frames missing", len(missing))
    return tuple(by_stem[nfc(stem)] for stem in stems)


def frames_video(folder: Path) -> Video:
    """The video whose frames are the files of `folder`; its id is the folder's name."""
    # resolved only for the names that do not say it ('.', '..'): a link keeps its own name
    name = folder.name if folder.name not in ("", "..") else folder.resolve().name
    return Video(check_id(name, str(folder)), folder, frame_names(folder))


def file_video(path: Path) -> Video:
    """The video in a file; its id is the file's name without the suffix."""
    return Video(check_id(path.stem, str(path)), path)
