"""The configuration of a part, with what its class takes where the file says nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vdprobe.data.model_config import check_whole_number, check_whole_numbers
from vdprobe.models.diffusion.pipeline import Pipeline


def completed(pipeline: Pipeline, part: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration over `defaults`: older ones were written before some of these were there.

    Raises `ModelError` for a size that is none. Sizes are those whose default is a whole number, several or None.
    """
    config, where = {**defaults, **pipeline.config(part)}, Path(pipeline.name) / part
    for key, value in defaults.items():
        if isinstance(value, tuple):
            check_whole_numbers({key: list(config[key]) if isinstance(config[key], tuple) else config[key]}, key, where)
        elif not isinstance(value, bool) and not (value is None and config[key] is None):
            check_whole_number(config, key, where)
    return config
