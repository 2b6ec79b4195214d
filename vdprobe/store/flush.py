"""From the memory of the operating system onto the disk: what is not there yet is lost when the power fails."""

import errno
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

AT_ONCE = 8
"""A disk takes several flushes in about the time of one."""


def flush(path: Path | str) -> None:
    """Come back when the file, or the names in the folder, are on the disk. Raises `OSError`."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        # Some network file systems flush no folders, and keep names by themselves.
        if not (os.path.isdir(path) and error.errno in (errno.EINVAL, errno.ENOTSUP, errno.EBADF)):
            raise
    finally:
        os.close(file)


def flush_all(paths: Iterable[Path | str]) -> None:
    """As `flush`, of many, in any order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(flush, paths):
            pass


def flush_tree(folder: Path) -> None:
    """As `flush`, of a folder and all below it."""
    flush_all(
        [path for where, _, files in os.walk(folder) for path in (where, *(os.path.join(where, f) for f in files))]
    )
