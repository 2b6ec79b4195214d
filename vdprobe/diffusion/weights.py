"""Modules with weights: read from files (only what is needed), or drawn at random."""

import hashlib
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vdprobe.data.tensor_files import check_header, read_tensors
from vdprobe.errors import ModelError, VdprobeError


def load_into(module: nn.Module, files: Iterable[Path], dtype: torch.dtype, device: torch.device) -> None:
    """Fills a module that was made on the meta device, reading only the tensors it still has.

    Raises `ModelError` when a tensor is missing or of another shape.
    """
    wanted = module.state_dict()
    found: dict[str, Tensor] = {}
    for path in files:
        for name, tensor in read_tensors(path, wanted):
            if tensor.shape != wanted[name].shape:
                raise ModelError(
                    f"{path}: '{name}' has shape {tuple(tensor.shape)}, the configuration says "
                    f"{tuple(wanted[name].shape)}; configuration and weights do not belong together"
                )
            found[name] = tensor.to(device=device, dtype=dtype)
    missing = wanted.keys() - found.keys()
    if missing:
        raise ModelError(f"{path.parent} lacks {len(missing)} tensors, such as '{min(missing)}'; is it complete?")
    module.load_state_dict(found, assign=True)


def lay_out(make: Callable[[], Any], what: str) -> Any:
    """A network on the meta device, where it takes no memory, or what it gives there.

    Raises `ModelError` for a configuration that it cannot be made from, or that takes no frames.
    """
    try:
        with torch.device("meta"):
            return make()
    except VdprobeError:
        raise
    except Exception as error:  # every network has its own ways to refuse a configuration
        detail = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ModelError(f"{what} cannot be laid out from its configuration ({detail}); is it complete?") from error


def check_room(empty: nn.Module, files: Iterable[Path], what: str) -> None:
    """Raises `ModelError` where files cannot hold all the weights of a network, before any memory is taken for it."""
    files = tuple(files)
    for file in files:
        check_header(file, what)
    weights, size = sum(p.numel() for p in empty.parameters()), sum(file.stat().st_size for file in files)
    if weights > size:
        named = ", ".join(file.name for file in files) or "none"
        raise ModelError(
            f"{what}: its configuration describes {weights} weights, its files ({named}) are of {size} "
            "bytes; configuration and weights do not belong together, or the download is not complete"
        )


def randomise(module: nn.Module, seed: int, dtype: torch.dtype, device: torch.device) -> None:
    """Fills a module that was made on the meta device with torch's default initialisation.

    Each tensor's draw is keyed by (seed, its name): it is the same however much of the network was
    dropped. Layers that start at zero in training (the last temporal convolutions) are drawn too,
    so that every layer takes part.
    """
    values: dict[str, Tensor] = {}
    for prefix, owner in module.named_modules():
        for name, empty in owner.named_parameters(recurse=False):
            path = f"{prefix}.{name}" if prefix else name
            values[path] = _draw(owner, name, empty.shape, seed, path).to(device=device, dtype=dtype)
    for path, value in values.items():
        parent, _, name = path.rpartition(".")
        setattr(module.get_submodule(parent), name, nn.Parameter(value, requires_grad=False))


def _draw(owner: nn.Module, name: str, shape: torch.Size, seed: int, path: str) -> Tensor:
    digest = hashlib.sha256(f"{seed}/{path}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    if isinstance(owner, nn.GroupNorm | nn.LayerNorm):
        return torch.ones(shape) if name == "weight" else torch.zeros(shape)
    if isinstance(owner, nn.modules.conv._ConvNd | nn.Linear):
        bound = 1 / math.sqrt(owner.weight[0].numel())  # 1 / sqrt(fan in)
        return torch.empty(shape).uniform_(-bound, bound, generator=generator)
    return torch.empty(shape).normal_(0, 0.02, generator=generator)
