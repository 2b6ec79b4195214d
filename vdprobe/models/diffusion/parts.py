"""A part of a pipeline, from its folder."""

from typing import Any

from transformers import (
    AutoConfig,
    AutoModel,
    PreTrainedModel,
)

from vdprobe.data.model_files import from_pretrained
from vdprobe.data.tensor_files import check_finite
from vdprobe.errors import ModelError
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
    elif issubclass(cls, PreTrainedModel):
        settings = from_pretrained(cls.config_class, folder, what)
        check_room(lay_out(lambda: cls(settings), what), files, what)
    if cls is AutoModel or issubclass(cls, PreTrainedModel):  # transformers draws what a file lacks
        model, info = from_pretrained(cls, folder, what, output_loading_info=True, **options)
        if missing := sorted(info["missing_keys"]):
            raise ModelError(f"{folder} lacks {len(missing)} tensors, such as '{missing[0]}'; is it complete?")
    else:
        model = from_pretrained(cls, folder, what, **options)
    check_finite(model, what)
    return model
