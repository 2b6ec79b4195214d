"""The files of a published model: which of them hold the weights, and their hash.

Nothing here imports torch: naming the features of a finished extraction must cost nothing.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vdprobe.data.model_config import read_model_config
from vdprobe.data.proved_files import remember_proved, was_proved
from vdprobe.data.text_files import read_json
from vdprobe.errors import DataError, ModelError

SETTINGS = ("config.json", "preprocessor_config.json", "processor_config.json", "tokenizer_config.json")
SUFFIXES = ("safetensors", "bin")


def weight_files(folder: Path, stems: Sequence[str], what: str) -> tuple[Path, ...]:
    """The files that hold a model's weights: safetensors before .bin, whole before sharded.

    - `stems`: names that they may have, without the ending; `what` they belong to is for the error.

    Raises `ModelError` where there are none, or one is missing or only a pointer of git-lfs.
    """
    files = next(_candidates(folder, stems), ())
    if not files:
        others = sorted(path.name for suffix in SUFFIXES for path in folder.glob(f"*.{suffix}"))
        seen = f"; it has {', '.join(others[:4])}, which is none of these" if others else ""
        raise ModelError(
            f"{what} has no weights in {folder}: expected {stems[0]}.safetensors (or .bin, or a sharded index){seen}"
        )
    for file in files:
        refuse_pointer(file)
    return files


def _candidates(folder: Path, stems: Sequence[str]) -> Iterator[tuple[Path, ...]]:
    for suffix in SUFFIXES:
        for stem in stems:
            if (whole := folder / f"{stem}.{suffix}").is_file():
                yield (whole,)
            if (index := folder / f"{stem}.{suffix}.index.json").is_file():
                yield _shards(index)


def _shards(index: Path) -> tuple[Path, ...]:
    """The files that an index names, each once. Raises `ModelError` for an index of another form, or a lost file."""
    try:
        value = read_json(index)
    except DataError as error:
        raise ModelError(f"{error}; is the download complete?") from error
    places = value.get("weight_map") if isinstance(value, dict) else None
    if not isinstance(places, dict) or not places or not all(isinstance(name, str) for name in places.values()):
        raise ModelError(f"{index} is no index of weights: it has no weight_map of tensors to files; fetch it again")
    files = []
    for name in sorted(set(places.values())):
        if Path(name).name != name or "\0" in name:
            raise ModelError(f"{index} names {name[:80]!r}, which is no file beside it; fetch it again")
        files.append(index.parent / name)
        if not files[-1].is_file():
            raise ModelError(f"{index} names {name}, which is not there; is the download complete?")
    return tuple(files)


def refuse_pointer(path: Path) -> None:
    """Raises `ModelError` for the few lines that git keeps in the place of a large file."""
    if path.is_file() and path.stat().st_size < 1024 and path.read_bytes().startswith(b"version https://git-lfs"):
        raise ModelError(f"{path} is a pointer of git-lfs and not the file itself: run git lfs pull, or download it")


def files_digest(files: Iterable[Path]) -> str:
    """SHA-256 of the names and contents of files, in the order given."""
    lines = (f"{path.name} {file_digest(path)}\n" for path in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file.

    The Hugging Face cache names large files by it. That name is held against the content once for each state of the
    file (size, time of change): later calls trust it. Raises `ModelError` for one whose content is another.
    """
    real = Path(os.path.realpath(path))
    claimed = real.name if re.fullmatch("[0-9a-f]{64}", real.name) and real.parent.name == "blobs" else None
    try:
        if claimed is not None and was_proved(real):
            return claimed
        with real.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}; give a readable file") from error
    if claimed is not None:
        if found != claimed:
            raise ModelError(f"{path} is damaged: its SHA-256 is not {claimed}, its name in the cache; delete {real}")
        remember_proved(real)
    return found


def from_pretrained(cls: Any, folder: Path, what: str, **options: Any) -> Any:
    """`cls.from_pretrained(folder)` of diffusers or transformers, quietly, its failures in one line."""
    from transformers.utils import logging

    for name in SETTINGS:
        if (settings := folder / name).is_file():
            read_model_config(settings)
    if cls.__name__.startswith("Auto"):  # which otherwise asks on the terminal whether to run a model's own code
        options["trust_remote_code"] = False
    progress, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        return cls.from_pretrained(folder, **options)
    except Exception as error:  # the loaders raise many kinds for a part that is torn or incomplete
        detail = " ".join(str(error).split())[:200]
        raise ModelError(f"{what} cannot be loaded from {folder}: {detail}") from error
    finally:
        logging.set_verbosity(level)
        if progress:
            logging.enable_progress_bar()
