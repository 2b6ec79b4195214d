"""Networks without values: what a configuration would make, before any memory is taken for it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vdprobe.data.tensor_files import check_header
from vdprobe.errors import ModelError, VdprobeError


def lay_out(make: Callable[[], Any], what: str) -> Any:
    """A network on the meta device, where it takes no memory, or what it gives there.

    Raises `ModelError` for a configuration that it cannot be made from, or that takes no frames.
    """
    with explained(what), torch.device("meta"):
        return make()


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turns whatever a network is refused with in the block into a `ModelError` about its configuration."""
    try:
        yield
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
