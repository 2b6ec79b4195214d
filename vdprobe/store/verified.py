"""Which files this process has compared with their checksums: each is compared when it is first read, and not again."""

import os

import numpy as np

from vdprobe.store.checksum import extend

_seen: dict[tuple[int, int], tuple[int, int, str]] = {}
"""Device and inode of a file to what it was when it was compared: changed since, or replaced, it is compared anew."""


def is_intact(found: os.stat_result, bits: np.ndarray, checksum: str) -> bool:
    """Whether the uint8 `bits` of the file `found` have this checksum; true at once if they had it before."""
    place, state = (found.st_dev, found.st_ino), (found.st_size, found.st_mtime_ns, checksum)
    if _seen.get(place) == state:
        return True
    if f"{extend(0, bits):08x}" != checksum:
        return False
    _seen[place] = state
    return True
