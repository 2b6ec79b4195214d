"""The files of a published model: its folder or its Hugging Face id, which of them hold the weights, their hash.

Nothing here imports torch: naming the features of a finished extraction must cost nothing.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from vdprobe.errors import ModelError


def weight_files(folder: Path, stems: Sequence[str], what: str) -> tuple[Path, ...]:
    """The files that hold a model's weights: safetensors before .bin, whole before sharded.

    - `stems`: names that they may have, without the ending; `what` they belong to is for the error.

    Raises `ModelError` where there are none, or one is missing.
    """
    for suffix in ("safetensors", "bin"):
        for stem in stems:
            whole = folder / f"{stem}.{suffix}"
            if whole.is_file():
                return (whole,)
            index = folder / f"{stem}.{suffix}.index.json"
            if index.is_file():
                names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
                absent = [name for name in names if not (folder / name).is_file()]
                if absent:
                    raise ModelError(f"{index} names {absent[0]}, which is not there; is the download complete?")
                return tuple(folder / name for name in names)
    raise ModelError(
        f"{what} has no weights in {folder}: expected {stems[0]}.safetensors (or .bin, or a sharded index)"
    )


def files_digest(files: Iterable[Path]) -> str:
    """SHA-256 of the names and contents of files, in the order given."""
    lines = (f"{path.name} {file_digest(path)}\n" for path in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file; the Hugging Face cache already names large files by it."""
    real = os.path.realpath(path)
    blob = os.path.basename(real)
    if len(blob) == 64 and os.path.basename(os.path.dirname(real)) == "blobs":
        return blob
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(name: str, prefixes: Sequence[str]) -> tuple[Path, str]:
    """(folder, id@commit) of a Hugging Face snapshot: what lies under `prefixes`, with one set of weights each."""
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    repo, _, revision = name.partition("@")
    try:
        # Offline there is nothing to list, and nothing is fetched that is not there already.
        files = [] if constants.HF_HUB_OFFLINE else HfApi().list_repo_files(repo, revision=revision or None)
        folder = snapshot_download(
            repo,
            revision=revision or None,
            allow_patterns=[pattern for prefix in prefixes for pattern in _patterns(prefix, files)],
            ignore_patterns=["*.fp16.*", "*.non_ema.*", "open_clip*"],
        )
    except RepositoryNotFoundError:
        raise ModelError(f"Hugging Face has no model '{repo}' that you may read; check the id, or log in") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ModelError(
            f"cannot fetch '{name}' from Hugging Face ({type(error).__name__}); go online once, unset HF_HUB_OFFLINE, "
            "or give the folder of a downloaded model"
        ) from error
    return Path(folder), f"{repo}@{Path(folder).name}"


def _patterns(prefix: str, files: Sequence[str]) -> list[str]:
    """Configurations, tokenizer and weights under a prefix; safetensors where the repository has them."""
    safe = any(file.startswith(prefix) and file.endswith(".safetensors") for file in files)
    weights = [".safetensors"] if safe else [".safetensors", ".bin"]
    return [f"{prefix}*{suffix}" for suffix in (".json", ".txt", *weights)]


def from_pretrained(cls: Any, folder: Path, what: str, **options: Any) -> Any:
    """`cls.from_pretrained(folder)` of diffusers or transformers, quietly, its failures in one line."""
    from transformers.utils import logging

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
