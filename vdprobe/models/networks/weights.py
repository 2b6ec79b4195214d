"""Modules with weights: read from files (only what is needed), or drawn at random."""

import hashlib
import math
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from vdprobe.data.tensor_files import read_tensors
from vdprobe.errors import ModelError


def fill(
    module: nn.Module,
    seed: int | None,
    files: Callable[[], Iterable[Path]],
    dtype: torch.dtype,
    device: torch.device,
    *,
    only: Collection[str] | None = None,
    kept: Collection[str] = (),
) -> None:
    """Fills a module that was made on the meta device: from `seed` where there is one, else from files.

    - `files`: asked for where they are read. The rest is as in `load_into`.
    """
    if seed is not None:
        randomise(module, seed, dtype, device, only=only, kept=kept)
    else:
        load_into(module, files(), dtype, device, only=only, kept=kept)


def load_into(
    module: nn.Module,
    files: Iterable[Path],
    dtype: torch.dtype,
    device: torch.device,
    *,
    only: Collection[str] | None = None,
    kept: Collection[str] = (),
) -> None:
    """Fills a module that was made on the meta device, reading only the tensors it still has.

    - `only`: the names of tensors that are wanted, None for all of them; others stay on the meta device.
    - `kept`: parts of names whose tensors stay in float32 (diffusers' `_keep_in_fp32_modules`).

    Raises `ModelError` when a tensor is missing or of another shape.
    """
    wanted = {name: tensor for name, tensor in module.state_dict().items() if only is None or name in only}
    found: dict[str, Tensor] = {}
    for path in files:
        for name, tensor in read_tensors(path, wanted):
            if tensor.shape != wanted[name].shape:
                raise ModelError(
                    f"{path}: '{name}' has shape {tuple(tensor.shape)}, the configuration says "
                    f"{tuple(wanted[name].shape)}; configuration and weights do not belong together"
                )
            found[name] = tensor.to(device=device, dtype=dtype_of(name, dtype, kept))
    missing = wanted.keys() - found.keys()
    if missing:
        raise ModelError(f"{path.parent} lacks {len(missing)} tensors, such as '{min(missing)}'; is it complete?")
    module.load_state_dict(found, assign=True, strict=only is None)


def randomise(
    module: nn.Module,
    seed: int,
    dtype: torch.dtype,
    device: torch.device,
    *,
    only: Collection[str] | None = None,
    kept: Collection[str] = (),
) -> None:
    """Fills a module that was made on the meta device with torch's default initialisation.

    Each tensor's draw is keyed by (seed, its name): it is the same however much of the network was
    dropped. Layers that start at zero in training (the last temporal convolutions) are drawn too,
    so that every layer takes part. `only` and `kept` are as in `load_into`.
    """
    values: dict[str, Tensor] = {}
    for prefix, owner in module.named_modules():
        for name, empty in owner.named_parameters(recurse=False):
            path = f"{prefix}.{name}" if prefix else name
            if only is None or path in only:
                drawn = _draw(owner, name, empty.shape, seed, path)
                values[path] = drawn.to(device=device, dtype=dtype_of(path, dtype, kept))
    for path, value in values.items():
        parent, _, name = path.rpartition(".")
        setattr(module.get_submodule(parent), name, nn.Parameter(value, requires_grad=False))


def dtype_of(name: str, dtype: torch.dtype, kept: Collection[str]) -> torch.dtype:
    """The type of a tensor: `dtype`, or float32 where a part of its name is `kept`."""
    return torch.float32 if any(part in kept for part in name.split(".")) else dtype


def _draw(owner: nn.Module, name: str, shape: torch.Size, seed: int, path: str) -> Tensor:
    digest = hashlib.sha256(f"{seed}/{path}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    if isinstance(owner, nn.GroupNorm | nn.LayerNorm):
        return torch.ones(shape) if name == "weight" else torch.zeros(shape)
    if type(owner).__name__.lower().endswith("norm") and name in ("weight", "gamma", "bias", "beta"):
        return torch.ones(shape) if name in ("weight", "gamma") else torch.zeros(shape)  # those of diffusers, as above
    if isinstance(owner, nn.modules.conv._ConvNd | nn.Linear):
        bound = 1 / math.sqrt(owner.weight[0].numel())  # 1 / sqrt(fan in)
        return torch.empty(shape).uniform_(-bound, bound, generator=generator)
    return torch.empty(shape).normal_(0, 0.02, generator=generator)
