"""Pickles of nothing but lists, mappings, texts and numbers, read without running what is in them."""

import io
import pickle
from pathlib import Path
from typing import Any, ClassVar

from vdprobe.data.parsing import parsing
from vdprobe.errors import DataError

MOST_BYTES = 2**28
"""Of a file; the largest of the datasets has a tenth."""


def read_plain_pickle(path: Path) -> Any:
    """The value of a pickle of built-in containers, texts, numbers and None.

    A pickle is a program that may call anything that Python can import; one that asks for any class or function
    is refused with `DataError`, before it is called, as is a file that is damaged.
    """
    with parsing(path, "is no whole pickle", "fetch the file again"):
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path} is larger than {MOST_BYTES:,} bytes, the most that are read; fetch it again")
        try:
            return _Plain(io.BytesIO(path.read_bytes()), encoding="utf-8").load()  # texts of Python 2 are bytes
        except _RefusedError as error:
            raise DataError(
                f"{path} is no pickle of plain lists and texts: it asks for {error}, so it may be malicious; "
                "fetch it again from where the dataset is published"
            ) from error


class _RefusedError(Exception):
    """The class or function that a pickle asks for."""


class _Plain(pickle._Unpickler):
    # The unpickler in Python: a few bytes make that in C fill all memory with an index of what it has seen. Without
    # the instruction that allocates as many bytes as it says.
    dispatch: ClassVar = {code: do for code, do in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]}

    def find_class(self, module: str, name: str) -> Any:
        raise _RefusedError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to objects outside itself")
