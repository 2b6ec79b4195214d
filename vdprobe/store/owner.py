"""Which process a temporary folder or a claim belongs to, and whether it still lives."""

import hashlib
import os
import socket
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path


@cache
def host() -> str:
    """The host name and a mark of its boot and process namespace.

    Containers on one disk may share a host name, and a process id means nothing across them.
    """
    marks: list[str] = []
    with suppress(OSError):  # not Linux: the host name alone
        marks = [Path("/proc/sys/kernel/random/boot_id").read_text(), os.readlink("/proc/self/ns/pid")]
    return f"{socket.gethostname()}.{hashlib.sha256(' '.join(marks).encode()).hexdigest()[:8]}"


def fresh_name() -> str:
    """`<host>-<pid>-<uuid>`, which no other process and no other call gives."""
    return f"{host()}-{os.getpid()}-{uuid.uuid4().hex}"


def is_dead(owner_host: str, pid: int) -> bool:
    """True when the process surely ended; one of another host, or one we may not signal, counts as alive."""
    if owner_host != host() or pid <= 0:  # those below 1 are groups of processes
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    return False
