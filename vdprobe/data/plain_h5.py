"""Arrays of an HDF5 file, of nothing but that file, and of no more than a limit.

HDF5 can say that an array lies in another file: by links, by external storage and by virtual datasets. Followed, any
file that its reader may open becomes a mask. It can also declare an array of any size in a few bytes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

from vdprobe.data.parsing import parsing
from vdprobe.errors import DataError

MOST_BYTES = 2**28
"""Of an array as declared, and of a chunk of it."""
MOST_COMPRESSED = 2**20
"""Bytes of a compressed array as stored: zlib makes a thousand of one."""


@contextmanager
def open_plain_h5(path: Path, names: str, remedy: str) -> Iterator[Any]:
    """The file; `names` of the arrays that are read, and the `remedy`, are for the error of one that is damaged."""
    import h5py

    with parsing(path, f"has no {names} to read", remedy), h5py.File(path, "r") as file:
        yield file


def plain_array(file: Any, name: str) -> Any:
    """The array of that name in an open file, not read yet.

    Raises `DataError` where it lies in another file, is not of numbers, or is larger than `MOST_BYTES`.
    """
    import h5py

    where = f"{file.filename}: {name!r}"
    # asked of the link itself, for `file.get` follows it; a soft link may lead to an external one
    if file.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise DataError(f"{where} is a link, which may lead to another file; fetch the file again")
    array = file[name]
    if not isinstance(array, h5py.Dataset) or array.dtype.kind not in "buif" or array.shape is None:
        raise DataError(f"{where} is no array of numbers; fetch the file again")
    if array.external or array.is_virtual:
        raise DataError(f"{where} lies in another file, which is not followed; fetch the file again")
    bytes_ = max(prod(array.shape), prod(array.chunks or ())) * array.dtype.itemsize
    if bytes_ > MOST_BYTES:
        raise DataError(f"{where} declares {bytes_:,} bytes, {MOST_BYTES:,} are the most that are read; fetch it again")
    if array.id.get_create_plist().get_nfilters() and array.id.get_storage_size() > MOST_COMPRESSED:
        raise DataError(
            f"{where} is compressed to more than {MOST_COMPRESSED:,} bytes, the most that are read; fetch it again"
        )
    return array
