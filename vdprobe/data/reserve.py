"""Room on the disk for an array that is mapped into memory."""

import os
from contextlib import suppress

BLOCK = 1 << 20


def reserve(descriptor: int, size: int) -> None:
    """Makes an empty file `size` bytes of zeros that are really there.

    A page of a mapped file for which the disk has no room ends the process when it is written to, without a word.
    Raises `OSError`.
    """
    if hasattr(os, "posix_fallocate"):
        with suppress(NotImplementedError):
            os.posix_fallocate(descriptor, 0, max(size, 1))
            return
    for begin in range(0, size, BLOCK):
        os.write(descriptor, bytes(min(BLOCK, size - begin)))
