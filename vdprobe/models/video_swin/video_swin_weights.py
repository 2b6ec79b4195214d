"""The weights of Video Swin that torchvision publishes, where torch's hub keeps what it fetched."""

import sys
from http.client import HTTPException
from pathlib import Path

import torch
from huggingface_hub import constants

from vdprobe.data.model_files import file_digest
from vdprobe.errors import ModelError
from vdprobe.models.video_swin.video_swin_network import torchvision_models


def published_file(size: str, name: str) -> Path:
    """The file of model `name`, fetched if it is not there yet.

    torchvision names a file by the first digits of its SHA-256. Raises `ModelError` where it cannot be fetched, or
    is another than its name says.
    """
    weights = getattr(torchvision_models(name), f"Swin3D_{size.upper()}_Weights").KINETICS400_V1
    file = Path(torch.hub.get_dir(), "checkpoints", weights.url.rpartition("/")[2])
    digits = file.stem.rpartition("-")[2]
    if not file.is_file():
        _fetch(weights.url, file, digits, name)
    if not file_digest(file).startswith(digits):
        raise ModelError(
            f"{file} is not the file that torchvision publishes: its SHA-256 does not begin with {digits}; delete it, "
            "and it is fetched again"
        )
    return file


def _fetch(url: str, file: Path, digits: str, name: str) -> None:
    reason = "HF_HUB_OFFLINE is set"
    if not constants.HF_HUB_OFFLINE:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(file), digits, progress=sys.stderr.isatty())
            return
        except (OSError, HTTPException, RuntimeError) as error:  # the last for another hash
            reason = f"{type(error).__name__}: {error}"
    raise ModelError(
        f"the weights of '{name}' are not in {file.parent} and cannot be fetched ({reason}); go online once, or fetch "
        f"{url} elsewhere and put it there, or give it as {name}:FILE"
    )
