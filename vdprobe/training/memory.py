"""Freed memory is kept for the next step: on a CPU a step spends much of its time asking for the same pages again."""

import ctypes

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Parameters of glibc's `mallopt` (malloc.h)."""


def keep_freed_memory() -> bool:
    """Tells glibc not to give freed memory back to the system; False where there is no glibc, or it refuses.

    By default it returns every large block at once, so that each step's activations are new pages, which the
    system has to clear. Holds for the whole process, which stays as large as it ever was.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    wanted = ((MMAP_MAX, 0), (TRIM_THRESHOLD, 2**31 - 1), (TOP_PAD, 1 << 28))
    return all(mallopt(parameter, value) == 1 for parameter, value in wanted)
