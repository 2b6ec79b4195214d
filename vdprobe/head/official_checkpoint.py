"""A checkpoint file of the official VD-IT code, read without running what is in it."""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from vdprobe.errors import ConfigError, ModelError
from vdprobe.head.deformable import POINTS
from vdprobe.head.files import CONFIG, WEIGHTS, save_head
from vdprobe.head.official import FROZEN, check_names, read_adapter, read_head

ADAPTER = "adapter.safetensors"
RECIPE = {"freeze_text_encoder": True, "with_box_refine": True, "enc_n_points": POINTS, "dec_n_points": POINTS}
"""Options of the official scripts that decide what the tensors mean and do not show in their shapes."""


@dataclass(frozen=True)
class Imported:
    """What an import has written. The counts are of parameters."""

    adapter: Path
    head: Path
    config: Path
    adapter_parameters: int
    head_parameters: int


def import_official(path: str | Path, out: str | Path) -> Imported:
    """Writes `adapter.safetensors`, `head.safetensors` and `head.json` into the folder `out`.

    - `path`: an official checkpoint (`checkpoint.pth`), or its state dict as safetensors.

    Raises `ModelError` for a file that cannot be read safely, for one that is not of the published model
    (a tensor is missing, unknown or of another shape), and for a folder that cannot be written.
    """
    path, out = Path(path).expanduser(), Path(out).expanduser()
    try:
        tensors = read_tensors(path)
        check_names(list(tensors))
        adapter, head = read_adapter(tensors), read_head(tensors)
    except (ModelError, ConfigError) as error:
        raise ModelError(f"{path}: {error}") from error
    try:
        out.mkdir(parents=True, exist_ok=True)
        adapter.save(out / ADAPTER)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot write the adapter into {out}: {error}; give another --out") from error
    save_head(head, out)
    return Imported(out / ADAPTER, out / WEIGHTS, out / CONFIG, _parameters(adapter), _parameters(head))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of the trained parts, under their official names; the frozen public models are left out.

    Raises `ModelError` for a missing or damaged file, and for a pickle that asks for more than tensors,
    plain values and the official code's options (`argparse.Namespace`): nothing of it is run.
    """
    try:
        return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    except FileNotFoundError:
        raise ModelError("there is no such file; give a checkpoint (.pth) or .safetensors file") from None
    except UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        what = f"it asks for {asked[1]}, which" if asked else "it is no plain checkpoint, and what it asks for"
        raise ModelError(f"{what} could run code and was not run; get the file from its authors") from None
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError) as error:
        detail = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise ModelError(f"it is damaged, or no checkpoint ({detail}); get it again") from None


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as file:
        names = [name for name in file.keys() if not name.startswith(FROZEN)]  # noqa: SIM118 (no mapping)
        return {name: file.get_tensor(name) for name in names}


def _read_pickle(path: Path) -> dict[str, Tensor]:
    with torch.serialization.safe_globals([argparse.Namespace]):
        # Mapped, so that the frozen models, gigabytes of them, stay on disk.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    state = content.get("model", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()
    ):
        raise ModelError("it holds no state dict (under 'model'); give a checkpoint of the official training")
    for option, value in RECIPE.items():
        chosen = getattr(content.get("args"), option, value)
        if chosen != value:
            raise ModelError(
                f"it was trained with {option}={chosen}; only models with {value}, as published, are known"
            )
    return {name: tensor for name, tensor in state.items() if not name.startswith(FROZEN)}


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
