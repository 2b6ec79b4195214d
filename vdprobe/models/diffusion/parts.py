"""A part of a pipeline, from its folder."""

from typing import Any

from transformers import (
    AutoConfig,
    AutoModel,
)

from vdprobe.data.model_files import from_pretrained
from vdprobe.data.tensor_files import check_finite
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.networks.empty_networks import check_room, lay_out


def from_folder(cls: Any, pipeline: Pipeline, part: str, **options: Any) -> Any:
    """`cls.from_pretrained` on a part's folder, quietly, its failures in one line."""
    folder = pipeline.folder(part)
    what = f"part '{part}' of model '{pipeline.name}'"
    if not options:
        return from_pretrained(cls, folder, what)
    files = pipeline.weight_files(part)
    if cls is AutoModel:
        settings = from_pretrained(AutoConfig, folder, what)
        check_room(lay_out(lambda: AutoModel.from_config(settings), what), files, what)
    elif hasattr(cls, "config_class"):  # of transformers; the networks of diffusers are laid out by who loads them
        settings = from_pretrained(cls.config_class, folder, what)
        check_room(lay_out(lambda: cls(settings), what), files, what)
    model = from_pretrained(cls, folder, what, **options)
    check_finite(model, what)
    return model
