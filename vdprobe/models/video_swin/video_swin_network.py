"""The network of a Video Swin, which is torchvision's, and the maps of its stages.

Shape letters: F frames, H W height and width.
"""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vdprobe.data.tensor_files import read_tensors
from vdprobe.errors import ModelError
from vdprobe.models.video_swin.stages import STRIDES


def torchvision_models(name: str) -> ModuleType:
    """`torchvision.models.video`, for model `name`. Raises `ModelError` where it cannot be imported."""
    try:
        from torchvision.models import video
    except (ImportError, RuntimeError) as error:  # the latter in a build for another torch
        raise ModelError(
            f"model '{name}' needs torchvision, which cannot be imported ({_in_a_line(error)}): "
            f'pip install "vdprobe[video-swin]", in the build that goes with torch {torch.__version__}'
        ) from error
    return video


def random_network(size: str, name: str, seed: int) -> nn.Module:
    """With the weights that torchvision gives a model before its training, in float32 on the CPU."""
    build = _build(size, name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(weights=None).eval()


def empty_network(size: str, name: str) -> nn.Module:
    """On the meta device: shapes without values."""
    build = _build(size, name)
    with torch.device("meta"):
        return build(weights=None).eval()


def read_network(size: str, name: str, file: Path) -> nn.Module:
    """With the weights of a file, without running what is pickled in it.

    Raises `ModelError` for a file of anything but all the weights of this size.
    """
    network = empty_network(size, name)
    try:
        network.load_state_dict(dict(read_tensors(file)), assign=True)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{file} does not hold the weights of torchvision's swin3d_{size}: {_in_a_line(error)}; give a file as "
            "torchvision publishes it"
        ) from error
    return network


def stage_maps(
    network: nn.Module, frames: Float[Tensor, "F 3 H W"], taps: Sequence[str]
) -> dict[str, Float[Tensor, "F _ _ _"]]:
    """The maps of `taps` of a clip, one for each frame; nothing after the last of them is computed.

    A patch is of two frames: each frame is there twice, and makes its patches alone. Stages are as the next one's
    downsampling gets them, without the norm that the classifier has after the last, as in SgMg
    (`video_swin_transformer.py`).
    """
    parts: Any = network
    places = {tap: 2 * list(STRIDES).index(tap) for tap in taps}  # between two stages is a downsampling
    found = {}
    twice = frames.repeat_interleave(2, dim=0).transpose(0, 1)[None]
    x = parts.pos_drop(parts.patch_embed(twice))
    for place, part in enumerate(parts.features[: max(places.values()) + 1]):
        x = part(x)
        found[place] = x
    return {tap: found[place][0].permute(0, 3, 1, 2) for tap, place in places.items()}


def _build(size: str, name: str) -> Any:
    return getattr(torchvision_models(name), f"swin3d_{size}")


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
