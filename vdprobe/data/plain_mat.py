"""Arrays of numbers of a MATLAB file (versions 5 to 7), of no more than a limit.

Read here and not by scipy: where a damaged file says that numbers are of an unknown type, scipy ends the process (a
segmentation fault). Of the format (MathWorks, MAT-File Format) only arrays of numbers are read.
"""

import struct
import zlib
from collections.abc import Iterator
from math import prod
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from vdprobe.data.parsing import parsing
from vdprobe.errors import DataError, shown

MOST_BYTES = 2**28
"""Of a file, of an array as declared, and of what a compressed part of a file inflates to."""
HEADER = 128
MATRIX, COMPRESSED = 14, 15
"""Types of elements."""
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Types of elements that are numbers, as numpy spells them."""
CLASSES = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 16: "function", 17: "object"}
"""Classes of arrays that are none of numbers; those are 6 to 15."""


def read_mat_array(path: Path, name: str, remedy: str) -> Shaped[np.ndarray, "..."]:
    """The array `name` of numbers, of the type they are stored in.

    Raises `DataError` when there is none, or it is larger than `MOST_BYTES`.
    """
    with parsing(path, f"has no {name!r} to read", remedy):
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path} is larger than {MOST_BYTES:,} bytes, the most that are read; {remedy}")
        content = path.read_bytes()
        order = {b"IM": "<", b"MI": ">"}.get(content[HEADER - 2 : HEADER])
        if order is None or content.startswith(b"MATLAB 7.3"):
            what = "of MATLAB 7.3" if content.startswith(b"MATLAB 7.3") else "not of MATLAB 5 to 7"
            raise DataError(f"{path} has no {name!r} to read (it is {what}); {remedy}, or save it with -v7")
        there = []
        for matrix in _matrices(content, order):
            found, array = _parse(matrix, order, name)
            if array is not None:
                return array
            there.append(found)
        raise DataError(f"{path} has no {name!r} to read (it has {shown(', '.join(there))}); {remedy}")


def _matrices(content: bytes, order: str) -> Iterator[bytes]:
    for kind, data in _elements(memoryview(content)[HEADER:], order):
        if kind == COMPRESSED:
            inflated = zlib.decompressobj().decompress(data, MOST_BYTES)
            if len(inflated) >= MOST_BYTES:
                raise ValueError(f"a part inflates to more than {MOST_BYTES:,} bytes, the most that are read")
            kind, data = next(_elements(memoryview(inflated), order))
        if kind == MATRIX:
            yield bytes(data)


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and data of each element; raises `ValueError` for one that ends too early."""
    place = 0
    while place + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        start = place + 8
        if kind >> 16:  # a small element: type and size in four bytes, up to four of data
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
        if size > len(content) - start:
            raise ValueError(f"it ends {size - len(content) + start:,} bytes too early")
        yield kind, content[start : start + size]
        # all but compressed ones are filled up to eight bytes
        place = start + size if kind == COMPRESSED else place + 8 if start == place + 4 else start + size + -size % 8


def _parse(matrix: bytes, order: str, wanted: str) -> tuple[str, np.ndarray | None]:
    """The name of a matrix, and its numbers if it is the one that is wanted."""
    elements = _elements(memoryview(matrix), order)
    (_, flags), (_, sides), (_, text) = next(elements), next(elements), next(elements)
    name = bytes(text).decode("ascii")
    if name != wanted:
        return name, None
    kind = struct.unpack_from(f"{order}I", flags)[0] & 0xFF
    if kind in CLASSES:
        raise ValueError(f"it is a {CLASSES[kind]} and no array of numbers")
    shape = struct.unpack(f"{order}{len(sides) // 4}i", sides)
    number, data = next(elements)
    if number not in NUMBERS:
        raise ValueError(f"its numbers are of the unknown type {number}")
    array = np.frombuffer(data, dtype=f"{order}{NUMBERS[number]}")
    if min(shape) < 0 or prod(shape) != len(array):
        raise ValueError(f"it declares {'x'.join(map(str, shape))} numbers and holds {len(array)}")
    return name, array.reshape(shape, order="F")
