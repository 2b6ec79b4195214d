"""Claims: who works on what, so that nobody does again what another is doing.

A claim is a file that its holder touches now and then. It is dead when the holder, a process of this host, has
ended, or when nobody has touched it for `LEASE` seconds: a process of another host cannot be asked, and a process
number is given again. Features are right without claims; only work would be done twice.
"""

import errno
import fcntl
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vdprobe.store.json_files import is_int, read_json, to_json
from vdprobe.store.layout import folder_name
from vdprobe.store.owner import fresh_name, host, is_dead

LEASE = 900.0
"""Seconds without a touch after which a claim is nobody's."""
BEAT = 60.0
"""Seconds between two touches."""


def claim_path(root: Path, name: str) -> Path:
    """The file of a claim."""
    return root / "claims" / folder_name(name)


def take(root: Path, name: str) -> bool:
    """Claim `name` for this process; False if someone who may live holds it. Raises `OSError`."""
    path = claim_path(root, name)
    if path.exists() and why_dead(root, path) is None:
        return False
    path.parent.mkdir(exist_ok=True)
    beside = root / "tmp" / fresh_name()
    beside.parent.mkdir(exist_ok=True)
    value = {"name": name, "host": host(), "pid": os.getpid(), "time": time.time(), "id": uuid.uuid4().hex}
    beside.write_bytes(to_json(value))
    try:
        try:
            _put(beside, path)
        except FileExistsError:
            with _alone(root):
                if why_dead(root, path) is None:
                    return False
                os.replace(beside, path)
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()
    _held.add(path)
    return True


def give_back(root: Path, name: str) -> None:
    """Drop a claim; one that is gone already is no error."""
    path = claim_path(root, name)
    _held.discard(path)
    path.unlink(missing_ok=True)


def drop_dead(root: Path, path: Path) -> str | None:
    """Remove a claim that is dead and say why it is; None where it is not, or is gone. Raises `OSError`."""
    if why_dead(root, path) is None:
        return None
    with _alone(root):
        why = why_dead(root, path)  # another may have taken it over meanwhile
        if why is not None:
            path.unlink(missing_ok=True)
        return why


def why_dead(root: Path, path: Path) -> str | None:
    """Why the claim at `path` is nobody's; None where its holder may live, or it is gone."""
    claim = read_json(path) or {}
    owner, pid = claim.get("host"), claim.get("pid")
    if isinstance(owner, str) and is_int(pid) and is_dead(owner, pid):
        return f"its process {pid} ended"
    try:
        touched = path.stat().st_mtime
    except FileNotFoundError:
        return None
    if 0 <= time.time() - touched < 2 * BEAT:
        return None
    age = _now(root) - touched
    return f"nobody has touched it for {age / 60:.0f} minutes" if age > LEASE else None


def is_damaged(path: Path) -> bool:
    """Whether a claim is there that does not say whose it is."""
    claim = read_json(path)
    if claim is None:
        return os.path.lexists(path)
    return not (isinstance(claim.get("name"), str) and isinstance(claim.get("host"), str) and is_int(claim.get("pid")))


def _put(beside: Path, path: Path) -> None:
    """Whole at once, and only where there is none. Raises `FileExistsError`."""
    try:
        os.link(beside, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        with open(path, "xb") as file:  # a file system without links
            file.write(beside.read_bytes())


def _now(root: Path) -> float:
    """The time by the clock that stamps the store's files, which may be another machine's."""
    trial = root / "tmp" / fresh_name()
    trial.parent.mkdir(exist_ok=True)
    trial.touch()
    try:
        return trial.stat().st_mtime
    finally:
        trial.unlink(missing_ok=True)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """No two processes remove or take over claims of one store at once; the lock ends with its process."""
    with open(root / "claims.lock", "ab") as file:
        with suppress(OSError):  # a file system without locks: then two may come to do the same work
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


class _Held:
    """The claims of this process, and the thread that touches them."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()
        self.lock = threading.Lock()
        self.thread: threading.Thread | None = None

    def add(self, path: Path) -> None:
        with self.lock:
            self.paths.add(path)
            if self.thread is None or not self.thread.is_alive():  # it is not in the child of a fork
                self.thread = threading.Thread(target=self.touch_on, name="vdprobe-claims", daemon=True)
                self.thread.start()

    def discard(self, path: Path) -> None:
        with self.lock:
            self.paths.discard(path)

    def touch_on(self) -> None:
        while True:
            time.sleep(BEAT)
            with self.lock:
                if not self.paths:
                    self.thread = None
                    return
                self.touch()

    def touch(self) -> None:
        for path in self.paths:
            with suppress(OSError):
                os.utime(path)


_held = _Held()
