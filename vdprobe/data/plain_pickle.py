"""Pickles of nothing but lists, mappings, texts and numbers, read without running what is in them."""

import pickle
from pathlib import Path
from typing import Any

from vdprobe.errors import DataError


def read_plain_pickle(path: Path) -> Any:
    """The value of a pickle of built-in containers, texts, numbers and None.

    A pickle is a program that may call anything that Python can import; one that asks for any class or function
    is refused with `DataError`, before it is called, as is a file that is damaged.
    """
    try:
        with path.open("rb") as file:
            return _Plain(file, encoding="utf-8").load()  # texts of Python 2 are bytes
    except _RefusedError as error:
        raise DataError(
            f"{path} is no pickle of plain lists and texts: it asks for {error}, so it may be malicious; "
            "fetch it again from where the dataset is published"
        ) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check the path") from error
    except Exception as error:  # a damaged pickle makes its reader stumble over whatever it has built
        raise DataError(f"{path} is no whole pickle ({' '.join(str(error).split())}); fetch the file again") from error


class _RefusedError(Exception):
    """The class or function that a pickle asks for."""


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise _RefusedError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to objects outside itself")
