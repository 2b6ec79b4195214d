"""Predicted masks as benchmarks take them: PNG files in folders or in a zip, or a JSON in COCO's result format."""

import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from os.path import isdir
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vdprobe.data.masks import INDEX_KINDS
from vdprobe.data.names import named_entry, nfc
from vdprobe.data.open_picture import MASK_FORMATS, open_picture
from vdprobe.data.parsing import parsing
from vdprobe.data.text_files import parse_json, read_json
from vdprobe.data.zip_members import MemberError, is_unsafe, member_name, open_zip, read_member
from vdprobe.errors import DataError

MOST_BYTES = 2**26
"""Of a file: a mask of 4K that is not compressed has a fourth of it."""


@dataclass(frozen=True)
class PredictionFiles:
    """The files of a folder or zip by their names, such as `dog/0/00000.png`; `read` gives None for one not there."""

    path: Path
    read: Callable[[str], bytes | None]
    names: Callable[[], list[str]]

    def labels(self, name: str) -> UInt8[np.ndarray, "H W"] | None:
        """The integers of an indexed or grey PNG, None where there is no such file; raises `DataError`."""
        data = self.read(name)
        return None if data is None else decode_labels(data, f"{self.path}: {name}")


@contextmanager
def open_predictions(path: Path) -> Iterator[PredictionFiles]:
    """The files under a folder, or in a zip, of up to `MOST_BYTES` bytes. Raises `DataError` for anything else.

    Names are those of the files with composed accents, whichever way they are written there.
    """
    if isdir(path):
        yield PredictionFiles(path, lambda name: _read_file(path, name), lambda: _list_files(path))
        return
    with open_zip(path, "give a folder of predictions or a zip") as archive:
        listed = [(member_name(info), info) for info in archive.infolist()]
        # folders are no predictions; one that would be made elsewhere is named all the same
        names = [name for name, info in listed if not name.endswith("/") or is_unsafe(name.removesuffix("/"))]
        known = dict(listed)

        def read(name: str) -> bytes | None:
            info = known.get(nfc(name))
            return None if info is None else read_member(archive, info, MOST_BYTES)

        yield PredictionFiles(path, read, lambda: sorted(names))


def _read_file(folder: Path, name: str) -> bytes | None:
    path = named_entry(folder, name)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_size > MOST_BYTES:
            raise MemberError(f"{path} has {status.st_size:,} bytes, {MOST_BYTES:,} are the most", "too large")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check its permissions") from error


def _list_files(folder: Path) -> list[str]:
    return sorted(nfc(file.relative_to(folder).as_posix()) for file in folder.rglob("*") if file.is_file())


def stands_twice(names: Sequence[str]) -> str | None:
    """The first of sorted names that stands there twice, None where all differ."""
    return next((name for name, following in pairwise(names) if name == following), None)


def decode_labels(data: bytes, where: str) -> UInt8[np.ndarray, "H W"]:
    """The integers of an indexed or grey PNG as they are stored, never its colours; raises `DataError`."""
    with open_picture(data, where, MASK_FORMATS, "write masks as palette or 8-bit grey PNG") as image:
        kind = str(image.tile[0][3])
        if kind not in INDEX_KINDS:
            raise DataError(f"{where} has pixels of kind '{kind}'; write masks as palette or 8-bit grey PNG")
        return np.asarray(image).astype(np.uint8)


def read_results(path: Path) -> dict[str | int, list[Mapping[str, Any]]]:
    """Results in COCO's format, by image id in the order of the file; `path` is a .json, or a zip of one.

    A result is `{"image_id": ..., "score": 0.9, "segmentation": run lengths}`, and `bbox` if wanted.
    Raises `DataError` for a file that does not hold a list of those, or in which a number is none.
    """
    results = _zipped_json(path) if path.suffix.lower() == ".zip" else read_json(path)
    if not isinstance(results, list):
        raise DataError(f"{path} does not hold a list of results; write them in COCO's result format")
    out: dict[str | int, list[Mapping[str, Any]]] = {}
    for i, result in enumerate(results):
        id = result.get("image_id") if isinstance(result, Mapping) else None
        score = result.get("score") if isinstance(result, Mapping) else None
        if not isinstance(id, str | int) or not is_finite(score) or "segmentation" not in result:
            what = "lacks an image_id, a score that is a finite number, or a segmentation"
            raise DataError(f"{path}: result {i} {what}; give it all three")
        if result.get("bbox") is not None and not is_box(result["bbox"]):
            raise DataError(f"{path}: the bbox of result {i} is no [x, y, width, height] of finite numbers; mend it")
        out.setdefault(id, []).append(result)
    return out


def _zipped_json(path: Path) -> Any:
    with open_predictions(path) as files:
        names = [name for name in files.names() if name.endswith(".json")]
        if len(names) != 1:
            raise DataError(f"{path} holds {len(names)} .json files; it should hold one, the results")
        try:
            content = files.read(names[0]) or b""
        except MemberError as error:
            raise DataError(f"{error}; give the JSON itself, without a zip") from error
        with parsing(f"{path}: {names[0]}", "is not UTF-8", "save it again as UTF-8"):
            text = content.decode("utf-8").removeprefix("\ufeff")
        return parse_json(text, f"{path}: {names[0]}")


def is_finite(value: Any) -> bool:
    """Whether a value of a JSON is a number that arrays hold."""
    return isinstance(value, int | float) and abs(value) <= 1e300  # of NaN this is false


def is_box(value: Any) -> bool:
    """Whether a value of a JSON is x, y, width and height."""
    return isinstance(value, list) and len(value) == 4 and all(is_finite(side) for side in value)
