"""Arrays of a MATLAB file, of no more than a limit."""

import struct
import zlib
from math import prod
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from vdprobe.data.parsing import parsing
from vdprobe.errors import DataError

MOST_BYTES = 2**28
"""Of a file, of an array as declared, and of what a compressed part of a file inflates to."""
BYTES = {"double": 8, "single": 4, "logical": 1} | {f"{u}int{8 * n}": n for u in ("", "u") for n in (1, 2, 4, 8)}
"""Of a number by the class of its array; other classes (struct, cell, char, sparse, ...) are no arrays of numbers."""
COMPRESSED = 15
"""The type of a part of the file that is compressed."""


def read_mat_array(path: Path, name: str, remedy: str) -> Shaped[np.ndarray, "..."]:
    """The array `name` of numbers; raises `DataError` when there is none, or it is larger than `MOST_BYTES`."""
    from scipy.io import loadmat, whosmat

    with parsing(path, f"has no {name!r} to read", remedy):
        _check_inflated(path, remedy)
        kinds = {found: (shape, kind) for found, shape, kind in whosmat(path, appendmat=False)}
        if name not in kinds:
            raise DataError(f"{path} has no {name!r} to read (it has {', '.join(kinds) or 'nothing'}); {remedy}")
        shape, kind = kinds[name]
        if kind not in BYTES:
            raise DataError(f"{path} has no {name!r} to read (it is a {kind} and no array of numbers); {remedy}")
        if min(shape, default=0) < 0 or prod(shape) * BYTES[kind] > MOST_BYTES:
            size = "x".join(map(str, shape))
            raise DataError(f"{path}: {name!r} declares {size} numbers, more than {MOST_BYTES:,} bytes; {remedy}")
        array = np.asarray(loadmat(path, appendmat=False, variable_names=[name])[name])
        if array.dtype.kind not in "buif":
            raise DataError(f"{path} has no {name!r} to read (it is no array of numbers); {remedy}")
        return array


def _check_inflated(path: Path, remedy: str) -> None:
    """Raises `DataError` for a file that is larger than the limit, or a part of which inflates to more."""
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"{path} is larger than {MOST_BYTES:,} bytes, the most that are read; {remedy}")
    content = path.read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    place = 128
    while order is not None and place + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        if kind == COMPRESSED:
            part = zlib.decompressobj()
            inflated = len(part.decompress(memoryview(content)[place + 8 : place + 8 + size], MOST_BYTES))
            if inflated >= MOST_BYTES:
                raise DataError(f"{path} inflates to more than {MOST_BYTES:,} bytes, the most that are read; {remedy}")
        place += 8 + size
