"""A head on disk: `head.safetensors` in our names, and `head.json` with its sizes."""

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from vdprobe.data.text_files import read_json
from vdprobe.errors import ModelError
from vdprobe.head.config import HeadConfig
from vdprobe.head.head import Head
from vdprobe.specs.canonical import to_plain
from vdprobe.specs.load import build

WEIGHTS, CONFIG = "head.safetensors", "head.json"


def save_head(head: Head, folder: Path) -> None:
    """Writes both files into a folder that exists. Raises `ModelError` where they cannot be written."""
    tensors = {name: tensor.contiguous() for name, tensor in head.state_dict().items()}
    try:
        save_file(tensors, folder / WEIGHTS, metadata={"format": "vdprobe head"})
        (folder / CONFIG).write_text(json.dumps(to_plain(head.config), indent=2) + "\n", encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot write the head into {folder}: {error}; free space or give another folder") from error


def load_config(folder: Path) -> HeadConfig:
    """The sizes of the head in a folder. Raises `DataError` or `ConfigError` for a file that is damaged."""
    return build(HeadConfig, read_json(folder / CONFIG))


def load_head(folder: str | Path) -> Head:
    """The head in a folder, in float32, ready to answer.

    Raises `ModelError` where a file is missing or they do not belong together.
    """
    folder = Path(folder).expanduser()
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise ModelError(f"no {name} in {folder}; give a folder that `vdprobe import-official` has written")
    head = Head(load_config(folder))
    try:
        head.load_state_dict(load_file(folder / WEIGHTS))
    except (SafetensorError, RuntimeError) as error:
        detail = " ".join(str(error).split())[:300]
        raise ModelError(f"{folder / WEIGHTS} is damaged, or not of the sizes in {CONFIG}: {detail}") from None
    return head.eval()
