"""The network of a vision model, and its hidden states as feature maps.

Shape letters: F frames, C channels, H W height and width, T tokens, h w places.
"""

import inspect
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from vdprobe.data.model_files import from_pretrained
from vdprobe.data.tensor_files import check_finite
from vdprobe.errors import ModelError
from vdprobe.models.networks.empty_networks import check_room

SPECIAL_TOKENS = 16
"""The most tokens before those of the patches: a class, a distillation and some register tokens."""
UNUSED = "pooler"
"""Weights that checkpoints may lack, as hidden states do not depend on them."""
META = torch.device("meta")


class VisionNetwork(nn.Module):
    """A model of the transformers library; the image encoder alone where it has a text encoder too."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model
        self.patch = _patch(model.config)
        offered = inspect.signature(model.forward).parameters
        self.options = {"interpolate_pos_encoding": True} if "interpolate_pos_encoding" in offered else {}

    def forward(self, frames: Float[Tensor, "F 3 H W"]) -> list[Float[Tensor, "F _ _ _"] | None]:
        """The map of each hidden state, the embeddings first; None for one that has no place for each patch."""
        out = self.model(frames, output_hidden_states=True, return_dict=True, **self.options)
        states = out.get("reshaped_hidden_states") or out.get("hidden_states") or ()
        return [self._as_map(state, *frames.shape[2:]) for state in states]

    def _as_map(self, state: Tensor, height: int, width: int) -> Tensor | None:
        if state.ndim == 4:
            return state
        if state.ndim != 3 or self.patch is None:
            return None
        rows, columns = height // self.patch, width // self.patch
        special = state.shape[1] - rows * columns
        if not 0 <= special <= SPECIAL_TOKENS:
            return None
        return state[:, special:].transpose(1, 2).unflatten(2, (rows, columns))


def empty_network(folder: Path, name: str) -> VisionNetwork:
    """On the meta device, for shapes. Raises `ModelError` for a model that cannot be laid out."""
    config = _config(folder, name)
    try:
        with META:
            return VisionNetwork(AutoModel.from_config(config).eval())
    except Exception as error:  # each kind of model has its own ways to be wrong
        detail = " ".join(str(error).split())[:200]
        raise ModelError(f"model '{name}' cannot be laid out from its configuration: {detail}") from error


def load_network(folder: Path, name: str, seed: int | None, dtype: torch.dtype, device: torch.device) -> VisionNetwork:
    """With weights that are read, or drawn from `seed`. Raises `ModelError` where some are missing or torn."""
    network = read_network(folder, name, dtype) if seed is None else random_network(folder, name, seed)
    return network.to(device, dtype).requires_grad_(False)


def random_network(folder: Path, name: str, seed: int) -> VisionNetwork:
    """With the weights that the transformers library gives a model before its training, in float32 on the CPU."""
    config = _config(folder, name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VisionNetwork(AutoModel.from_config(config, dtype=torch.float32).eval())


def read_network(folder: Path, name: str, dtype: torch.dtype) -> VisionNetwork:
    """With its weights; raises `ModelError` where some are missing."""
    options = {"config": _config(folder, name), "dtype": dtype, "output_loading_info": True}
    weights = [file for suffix in ("safetensors", "bin") for file in sorted(folder.glob(f"*.{suffix}"))]
    check_room(empty_network(folder, name), weights, f"model '{name}'")
    model, info = from_pretrained(AutoModel, folder, f"model '{name}'", **options)
    missing = sorted(key for key in info["missing_keys"] if UNUSED not in key)
    if missing:
        raise ModelError(f"{folder} lacks {len(missing)} tensors, such as '{missing[0]}'; is it complete?")
    check_finite(model, f"model '{name}'")
    return VisionNetwork(model.eval())


def _config(folder: Path, name: str) -> Any:
    config = from_pretrained(AutoConfig, folder, f"the configuration of model '{name}'")
    return getattr(config, "vision_config", config)


def _patch(config: Any) -> int | None:
    patch = getattr(config, "patch_size", None)
    if isinstance(patch, list | tuple):
        return int(patch[0]) if len(set(patch)) == 1 else None
    return None if patch is None else int(patch)
