"""A head on disk: `head.safetensors` in our names, and `head.json` with its sizes."""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from vdprobe.data.tensor_files import read_tensors
from vdprobe.data.text_files import read_json
from vdprobe.errors import ConfigError, ModelError
from vdprobe.head.config import HeadConfig
from vdprobe.head.head import Head
from vdprobe.head.official import infer_config
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
    """The sizes of the head in a folder. Raises `DataError` or `ModelError` for a file that is damaged."""
    try:
        return build(HeadConfig, read_json(folder / CONFIG))
    except ConfigError as error:
        raise ModelError(f"{folder / CONFIG} does not describe a head: {error}") from error


def load_head(folder: str | Path) -> Head:
    """The head in a folder, in float32, ready to answer.

    Raises `ModelError` where a file is missing or they do not belong together.
    """
    folder = Path(folder).expanduser()
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise ModelError(f"no {name} in {folder}; give a folder that `vdprobe import-official` has written")
    config = load_config(folder)
    tensors = dict(read_tensors(folder / WEIGHTS))
    _check_sizes(config, tensors, folder)
    head = Head(config)
    try:
        head.load_state_dict(tensors)
    except RuntimeError as error:
        raise _misfit(folder, error) from None
    return head.eval()


def _check_sizes(config: HeadConfig, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Before a head is made by them: sizes that no file bears out may be of any number of gigabytes."""
    try:
        found = infer_config(tensors)
    except (ModelError, ConfigError) as error:
        raise _misfit(folder, error) from None
    for name, value in vars(found).items():
        if name != "dropout" and getattr(config, name) != value:
            raise _misfit(folder, f"{name} is {getattr(config, name)} in {CONFIG} and {value} by the tensors")


def _misfit(folder: Path, detail: object) -> ModelError:
    told = " ".join(str(detail).split())[:300]
    return ModelError(f"{folder / WEIGHTS} is damaged, or not of the sizes in {CONFIG}: {told}")
