"""What folders hold, read beside processes that add and remove."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vdprobe.errors import StoreError
from vdprobe.store.layout import SPEC_FOLDER


def children(folder: Path) -> list[Path]:
    """What is in a folder, by name; nothing of one that is gone meanwhile, or is none. Raises `OSError`."""
    try:
        with os.scandir(folder) as found:
            return sorted(Path(entry.path) for entry in found)
    except (FileNotFoundError, NotADirectoryError):
        return []


def spec_folders(root: Path) -> list[Path]:
    """The folders of specs in a store. Raises `StoreError`."""
    with _told(root):
        return [path for path in children(root) if SPEC_FOLDER.fullmatch(path.name)]


def video_folders(spec_folder: Path) -> list[Path]:
    """What may be the folder of a video. Raises `StoreError`."""
    with _told(spec_folder):
        return children(spec_folder)


def groups_of(video_folder: Path) -> list[Path]:
    """Everything that has the name of a group. Raises `StoreError`."""
    with _told(video_folder):
        return [path for path in children(video_folder) if path.suffix == ".zarr"]


def groups(spec_folder: Path) -> Iterator[Path]:
    """Everything that has the name of a group, by video and key. Raises `StoreError`."""
    for folder in video_folders(spec_folder):
        yield from groups_of(folder)


def files(folder: Path) -> Iterator[Path]:
    """Every file and link below a folder, links not followed. Raises `OSError` for a folder that cannot be read."""

    def stop(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for where, folders, names in os.walk(folder, onerror=stop):
        for name in sorted((*names, *(f for f in folders if os.path.islink(os.path.join(where, f))))):
            yield Path(where, name)


def size(folder: Path) -> int:
    """Bytes of the files below a folder; what is gone meanwhile has none. Raises `OSError`."""
    total = 0
    for file in files(folder):
        try:
            total += file.lstat().st_size
        except FileNotFoundError:
            continue
    return total


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot read the folder {folder}: {error.strerror}; what it holds is not known: make it readable"
        ) from error
