"""A checkpoint file of the official VD-IT code, read without running what is in it."""

import argparse
import pathlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from vdprobe.data.hold import hold
from vdprobe.data.tensor_files import checked, read_pickle, read_tensors, readable
from vdprobe.errors import ConfigError, ModelError
from vdprobe.head.deformable import POINTS
from vdprobe.head.files import CONFIG, WEIGHTS, save_head
from vdprobe.head.official import FROZEN, check_names, read_adapter, read_head

ADAPTER = "adapter.safetensors"
RECIPE = {"freeze_text_encoder": True, "with_box_refine": True, "enc_n_points": POINTS, "dec_n_points": POINTS}
"""Options of the official scripts that decide what the tensors mean and do not show in their shapes."""

WRAPPER = "module."
"""Before every name, where a model was saved as `DistributedDataParallel` wraps it."""
COUNTERS = ("total_ops", "total_params")
"""What thop, which counts a model's operations, leaves in it."""
_PATHS = (pathlib.PosixPath, pathlib.PurePosixPath)


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
        tensors = read_official(path)
        check_names(list(tensors))
        adapter, head = read_adapter(tensors), read_head(tensors)
    except (ModelError, ConfigError) as error:
        told = str(error)
        raise ModelError(told if told.startswith(str(path)) else f"{path}: {told}") from error
    with hold(out):
        try:
            adapter.save(out / ADAPTER)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"cannot write the adapter into {out}: {error}; give another --out") from error
        save_head(head, out)
    return Imported(out / ADAPTER, out / WEIGHTS, out / CONFIG, _parameters(adapter), _parameters(head))


def read_official(path: Path) -> dict[str, Tensor]:
    """The tensors of the trained parts, under their official names; the frozen public models are left out.

    Names may begin with the `module.` of a training on several GPUs, and counters of a profiler (thop) may lie
    between them. Raises `ModelError` for a missing or damaged file, and for a pickle that asks for more than
    tensors, plain values and what options hold (`argparse.Namespace`, numbers of numpy, paths): nothing of it is run.
    """
    if path.suffix == ".safetensors":
        names = _trained(_names(path))
        return {official: tensor for name, tensor in read_tensors(path, names) for official in [names[name]]}
    # Mapped where it can be, so that the frozen models, gigabytes of them, stay on disk.
    content = read_pickle(path, (argparse.Namespace, *_numbers_of_numpy(), *_PATHS))
    state = content.get("model", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()
    ):
        raise ModelError("it holds no state dict (under 'model'); give a checkpoint of the official training")
    _check_recipe(content.get("args"))
    return {official: checked(state[name], name, path) for name, official in _trained(state).items()}


def _names(path: Path) -> list[str]:
    with readable(path), safe_open(path, framework="pt") as file:
        return list(file.keys())


def _trained(names: Iterable[str]) -> dict[str, str]:
    """Names in the file to official names, of what is neither frozen nor a profiler's counter."""
    names = [name for name in names if not name.endswith(COUNTERS)]
    wrapped = bool(names) and all(name.startswith(WRAPPER) for name in names)
    official = {name: name.removeprefix(WRAPPER) if wrapped else name for name in names}
    return {name: theirs for name, theirs in official.items() if not theirs.startswith(FROZEN)}


def _check_recipe(options: Any) -> None:
    told = options if isinstance(options, Mapping) else getattr(options, "__dict__", {})
    for option, value in RECIPE.items():
        chosen = told.get(option, value)
        if not isinstance(chosen, bool | int | float | str | np.generic) or chosen != value:
            raise ModelError(
                f"it was trained with {option}={str(chosen)[:60]}; only models with {value}, as published, are known"
            )


def _numbers_of_numpy() -> list[Any]:
    """What a pickle of numpy's scalars asks for, under the names of numpy 1 and of numpy 2."""
    scalar = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(kind)) for kind in (*np.typecodes["AllInteger"], *np.typecodes["Float"], "?", "U", "S")}
    old = [(scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar")]
    return [*old, np.dtype, *kinds]


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
