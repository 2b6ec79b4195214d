"""Which large files were found to hold what their name says, so that gigabytes are not read for every command."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import platformdirs


def was_proved(file: Path) -> bool:
    """Whether `file` was, in the state (size, time of change, inode) that it is in now."""
    try:
        return _record(file).read_text("utf-8") == _state(file)
    except (OSError, ValueError):
        return False


def remember_proved(file: Path) -> None:
    """Keeps it for later; where the user's cache folder cannot be written to, the file is read again next time."""
    record = _record(file)
    beside = record.with_name(f"{record.name}.{os.getpid()}")
    with suppress(OSError):
        record.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(_state(file), "utf-8")
        os.replace(beside, record)


def _record(file: Path) -> Path:
    name = hashlib.sha256(os.fsencode(file)).hexdigest()
    return Path(platformdirs.user_cache_dir("vdprobe", appauthor=False)) / "proved" / name


def _state(file: Path) -> str:
    seen = file.stat()
    return f"{seen.st_size} {seen.st_mtime_ns} {seen.st_ctime_ns} {seen.st_ino}"
