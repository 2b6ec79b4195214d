"""One process at a time in a folder of results."""

import fcntl
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from vdprobe.errors import DataError

LOCK = ".lock"


@contextmanager
def hold(out: Path) -> Iterator[None]:
    """Makes the folder `out` and keeps other processes from working in it while the context lasts.

    The lock is the kernel's: a killed process leaves a file that means nothing. File systems without locks are
    trusted as they are. A folder that was made here and in which nothing came to lie is removed again.

    Raises `DataError` where another process works in `out`, or this one already, and where it cannot be made.
    """
    made = not os.path.lexists(out)
    with _guard:
        file = _lock(out)
        mine = _name(os.fstat(file.fileno()))
        _held.add(mine)
    with file:
        try:
            yield
        finally:
            _held.discard(mine)
            with suppress(OSError):
                (out / LOCK).unlink()
                if made:
                    out.rmdir()  # which fails where something lies in it


def _lock(out: Path) -> TextIO:
    """The lock file, locked; closing it lets go."""
    path = out / LOCK
    while True:
        # before it is opened: to close a second one of the same process would drop the lock of the first
        with suppress(OSError):
            if _name(path.stat()) in _held:
                raise DataError(f"this process works in {out} already: wait for that to end, or give another folder")
        file = _open(out)
        try:
            _take(out, file)
            # whoever held it may have removed it, with its folder, between our opening and locking it
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    return file
        except BaseException:
            file.close()
            raise
        file.close()


def _open(out: Path) -> TextIO:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the folder {out}: {error.strerror}; give another --out") from error
    try:
        return open(out / LOCK, "a+", encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"cannot write into the folder {out}: {error.strerror}; give another --out") from error


def _take(out: Path, file: TextIO) -> None:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:  # POSIX lets a system answer with either
        file.seek(0)
        who = file.read(200) or "unknown"
        raise DataError(f"another process works in {out} ({who}): wait for it to end, or give another --out") from error
    except OSError:  # a file system without locks
        return
    file.truncate(0)
    print(f"process {os.getpid()} on {socket.gethostname()}", end="", file=file, flush=True)


def _name(found: os.stat_result) -> tuple[int, int, int]:
    return os.getpid(), found.st_dev, found.st_ino


_guard = threading.Lock()
_held: set[tuple[int, int, int]] = set()
"""Process, device and number of each lock that is held: a fork's child holds none of its parent's."""
