"""CLIP's encoders with random weights."""

import torch
from transformers import (
    CLIPTextModel,
    CLIPVisionModelWithProjection,
)

from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.networks.empty_networks import lay_out
from vdprobe.models.networks.weights import randomise


def random_clip(
    cls: type[CLIPTextModel] | type[CLIPVisionModelWithProjection],
    pipeline: Pipeline,
    part: str,
    dtype: torch.dtype,
    device: torch.device,
) -> CLIPTextModel | CLIPVisionModelWithProjection:
    """A model of class `cls` with the weights that the pipeline's seed draws."""
    seed = pipeline.seed(part)
    assert seed is not None
    config = pipeline.config(part)
    model = lay_out(lambda: cls(cls.config_class(**config)), f"part '{part}' of model '{pipeline.name}'")
    randomise(model, seed, dtype, device)
    for name, empty in list(model.named_buffers()):
        # Position indices are made, not stored: on the meta device they have no values yet.
        parent, _, leaf = name.rpartition(".")
        assert leaf == "position_ids", name
        model.get_submodule(parent).register_buffer(
            leaf, torch.arange(empty.shape[-1], device=device)[None], persistent=False
        )
    return model.eval()
