"""Predicted masks as benchmarks take them: PNG files in folders or in a zip, or a JSON in COCO's result format."""

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vdprobe.data.masks import INDEX_KINDS
from vdprobe.data.open_picture import MASK_FORMATS, open_picture
from vdprobe.data.text_files import read_json
from vdprobe.errors import DataError


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
    """The files under a folder, or in a zip. Raises `DataError` for anything else."""
    if path.is_dir():
        yield PredictionFiles(path, lambda name: _read_file(path / name), lambda: _list_files(path))
        return
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; give a folder of predictions or a zip") from error
    except zipfile.BadZipFile as error:
        raise DataError(f"{path} is no folder and no zip ({error}); give a folder of predictions or a zip") from error
    with archive:
        listed = archive.infolist()
        names = [info.filename for info in listed if not info.is_dir()]
        known = set(names)

        def read(name: str) -> bytes | None:
            if name not in known:
                return None
            try:
                return archive.read(name)
            except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
                raise DataError(f"{path}: {name} cannot be read ({error}); make the zip again") from error

        yield PredictionFiles(path, read, lambda: sorted(names))


def _read_file(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check its permissions") from error


def _list_files(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


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
    Raises `DataError` for a file that does not hold a list of those.
    """
    results = _zipped_json(path) if path.suffix.lower() == ".zip" else read_json(path)
    if not isinstance(results, list):
        raise DataError(f"{path} does not hold a list of results; write them in COCO's result format")
    out: dict[str | int, list[Mapping[str, Any]]] = {}
    for i, result in enumerate(results):
        id = result.get("image_id") if isinstance(result, Mapping) else None
        score = result.get("score") if isinstance(result, Mapping) else None
        if not isinstance(id, str | int) or not isinstance(score, int | float) or "segmentation" not in result:
            raise DataError(f"{path}: result {i} lacks an image_id, a score or a segmentation; give it all three")
        out.setdefault(id, []).append(result)
    return out


def _zipped_json(path: Path) -> Any:
    with open_predictions(path) as files:
        names = [name for name in files.names() if name.endswith(".json")]
        if len(names) != 1:
            raise DataError(f"{path} holds {len(names)} .json files; it should hold one, the results")
        try:
            return json.loads(files.read(names[0]) or b"")
        except ValueError as error:
            raise DataError(f"{path}: {names[0]} is not valid JSON ({error}); write it again") from error
