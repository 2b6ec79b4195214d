"""Files of tensors, safetensors or pickled by torch in either of its formats: read without running what is in them.

The one place where what their parsers raise becomes a `ModelError` that names the file.
"""

import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from vdprobe.data.model_files import refuse_pointer
from vdprobe.errors import ModelError

ZIP = b"PK\x03\x04"
MOST_REPEATED = 2**26
"""Bytes of a tensor that a file holds once and lays out many times, as torch's `expand` does."""
TAR = "legacy [.]tar format"


def read_tensors(path: Path, names: Iterable[str] | None = None) -> Iterator[tuple[str, Tensor]]:
    """Name and values of the tensors in a file, one after the other; of `names` those that it has.

    A file that torch pickled holds a mapping of them. Raises `ModelError` for a file that is missing, torn or
    malicious, and for values that are not finite.
    """
    with readable(path):
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                there = file.keys()
                wanted = there if names is None else set(names).intersection(there)
                for name in sorted(wanted):
                    yield name, checked(file.get_tensor(name), name, path)
            return
    state = read_pickle(path)
    if not isinstance(state, Mapping):
        raise ModelError(f"{path} holds no mapping of names to tensors but a {type(state).__name__}; get it again")
    for name in state if names is None else names:
        if name in state:
            yield name, checked(state[name], name, path)


def read_pickle(path: Path, safe: Iterable[Any] = ()) -> Any:
    """What torch has pickled into a file, whichever of its formats it has; big tensors stay on disk where they can.

    - `safe`: classes that it may ask for beside tensors and plain values.

    Raises `ModelError` for a file that is missing or torn, and for one that asks for anything else: it is not run.
    """
    with readable(path), torch.serialization.safe_globals(list(safe)):
        # Only the newer format, an archive, can be mapped.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_archive(path))


def check_header(path: Path, what: str) -> None:
    """Raises `ModelError` for a safetensors file whose table of contents is torn; `what` it belongs to is told."""
    if path.suffix != ".safetensors":
        return
    try:
        with readable(path), safe_open(path, framework="pt"):
            pass
    except ModelError as error:
        raise ModelError(f"{what}: {error}") from error


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns what reading a file of tensors raises into one line about it."""
    try:
        refuse_pointer(path)
        yield
    except ModelError:
        raise
    except FileNotFoundError:
        raise ModelError(f"{path}: there is no such file; check the path") from None
    except UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)|class (\S+) ", str(error))
        if asked is None:
            raise ModelError(
                f"{path}: it is no plain file of tensors ({_line(error)}): it could run code and was not run, or it is "
                "damaged; get the file from its authors"
            ) from None
        raise ModelError(
            f"{path}: it asks for {asked[1] or asked[2]}, which could run code and was not run; get the file from its "
            "authors"
        ) from None
    except MemoryError as error:
        raise ModelError(f"{path}: it asks for more memory than there is; is it what it should be?") from error
    except Exception as error:  # each parser has its own kinds, and some raise whatever they stumble over
        if re.search(TAR, str(error)):
            raise ModelError(
                f"{path}: it is in torch's oldest format (before 0.1.10), which cannot be read without running it; "
                "load and save it again with the torch that wrote it"
            ) from None
        raise ModelError(f"{path}: it is damaged, or no file of tensors ({_line(error)}); get it again") from None


def checked(tensor: Any, name: str, path: Path) -> Tensor:
    """The tensor. Raises `ModelError` for anything else, for a shape that no file could fill, and for NaN and inf."""
    if not isinstance(tensor, Tensor):
        raise ModelError(f"{path}: '{name}' is no tensor but a {type(tensor).__name__}; get it again")
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type == "meta":
        raise ModelError(f"{path}: '{name}' is no plain tensor of values; save its values")
    size = tensor.numel() * tensor.element_size()
    if size > max(MOST_REPEATED, tensor.untyped_storage().nbytes()):
        raise ModelError(f"{path}: '{name}' has shape {tuple(tensor.shape)}, of which the file holds but a part")
    if not _finite(tensor):
        raise ModelError(f"{path}: '{name}' holds values that are not finite (NaN or infinity); get the file again")
    return tensor


def check_finite(module: torch.nn.Module, what: str) -> None:
    """Raises `ModelError` for a network that was read with a weight that is NaN or infinite."""
    for name, tensor in module.state_dict().items():
        if not _finite(tensor):
            raise ModelError(
                f"{what}: '{name}' holds values that are not finite (NaN or infinity); get the files again"
            )


def _finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    if tensor.element_size() == 1:
        tensor = tensor.float()
    # A sum is finite where all of a tensor is; where it is not, it may have overflowed.
    return bool(tensor.sum(dtype=torch.float32).isfinite()) or bool(tensor.isfinite().all())


def _is_archive(path: Path) -> bool:
    """Whether a file has torch's newer format. Raises `ModelError` for one whose parts are packed smaller."""
    with path.open("rb") as file:
        if file.read(4) != ZIP:
            return False
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            if part.compress_type != zipfile.ZIP_STORED:
                raise ModelError(f"{path}: its part {part.filename} is compressed, as torch never does; get it again")
    return True


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
