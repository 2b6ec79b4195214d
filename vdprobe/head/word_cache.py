"""Words on disk: a file for each (encoder, text), so that a text is encoded once."""

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vdprobe.errors import StoreError
from vdprobe.models.diffusion.tokens import TextTokens
from vdprobe.store.checksum import ALGORITHM, extend
from vdprobe.store.owner import fresh_name


def words_path(folder: Path, encoder: str, text: str) -> Path:
    """Where the words of a text are, made by the encoder with that identity."""
    return folder / encoder[:16] / f"{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}.safetensors"


def write_words(path: Path, encoder: str, text: str, words: TextTokens) -> None:
    """Puts the file in place in one step. Raises `StoreError` where the disk does not take it."""
    hidden = words.hidden.cpu().contiguous()
    beside = path.with_name(f".{fresh_name()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(save({"words": hidden}, _metadata(encoder, text, words.count, hidden)))
        os.replace(beside, path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise StoreError(
            f"cannot write {path}: {error.strerror}; free space, or give a store that can be written to"
        ) from error


def read_words(path: Path, encoder: str, text: str) -> TextTokens | None:
    """The words in a file; None where it is damaged, or of another encoder or text. Raises `FileNotFoundError`."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata, hidden = file.metadata() or {}, file.get_tensor("words").clone()  # not mapped any longer
        count = int(metadata["tokens"])
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, KeyError, ValueError):
        return None
    if hidden.ndim != 2 or hidden.dtype != torch.float32 or metadata != _metadata(encoder, text, count, hidden):
        return None
    return TextTokens(hidden, count)


def _metadata(encoder: str, text: str, tokens: int, hidden: Tensor) -> dict[str, str]:
    checksum = extend(extend(0, hidden.numpy().tobytes()), str(tokens).encode())
    return {"encoder": encoder, "text": text, "tokens": str(tokens), ALGORITHM: f"{checksum:08x}"}
