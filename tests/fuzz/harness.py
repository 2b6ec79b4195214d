"""Runs a reader on damaged input: it may read it, or refuse it with a `VdprobeError`; nothing else.

A reader is one line of the table in `readers.py`. `experiments/benchmarks/fuzz_readers.py` runs it many times in
processes of their own, with limits; `test_readers.py` a few times.
"""

import os
import shutil
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from mutations import mutate

from vdprobe.errors import VdprobeError

LARGEST = 2**22
"""Bytes of a file that is damaged; larger ones only stand by."""


@dataclass(frozen=True)
class Reader:
    """What reads some input.

    - `make` writes a good one into an empty folder, `read` takes that folder. `make` runs once, `read` many times.
    - `damaged`: a pattern of the files that are damaged, one of them at a time.
    - `cases`: how many the tests try; fewer where one takes long.
    """

    name: str
    make: Callable[[Path], object]
    read: Callable[[Path], object]
    damaged: str = "**/*"
    cases: int = 12


@dataclass(frozen=True)
class Outcome:
    """`kind` is "ok", "refused", "traceback" or "memory" (refused because memory ran out); `detail` says why."""

    kind: str
    detail: str = ""


def make_input(reader: Reader, folder: Path) -> Path:
    """The good input of a reader, which it must read."""
    folder.mkdir(parents=True)
    reader.make(folder)
    tried = folder.with_name(f"{folder.name}-tried")  # reading may write there
    shutil.copytree(folder, tried, symlinks=True)
    reader.read(tried)
    shutil.rmtree(tried)
    return folder


def make_case(reader: Reader, good: Path, folder: Path, seed: int) -> Path:
    """The input with one file damaged, the same for the same seed, in a new folder."""
    rng = Random(f"{reader.name} {seed}")
    shutil.copytree(good, folder, symlinks=True, copy_function=os.link)
    files = sorted(path for path in folder.glob(reader.damaged) if path.is_file() and path.stat().st_size <= LARGEST)
    path = rng.choice(files)
    content = path.read_bytes()
    path.unlink()  # a link to that of the good input
    path.write_bytes(content)
    mutate(path, rng)
    return folder


def run_case(reader: Reader, folder: Path) -> Outcome:
    """What a reader makes of an input."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader.read(folder)
    except VdprobeError as error:
        return Outcome("memory" if _ran_out(error) else "refused", str(error))
    except Exception as error:
        if isinstance(error, MemoryError):
            return Outcome("memory", "MemoryError")
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if f"{os.sep}vdprobe{os.sep}" in frame.filename] or frames
        place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
        return Outcome("traceback", f"{type(error).__name__} at {place}: {str(error)[:200]!r}")
    return Outcome("ok")


def _ran_out(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False
