"""Which adapter each cell of a grid goes through: one file for all, or a folder with one for each.

VD-IT trains an adapter for one condition and one noise, so a grid over both wants several.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.adapter import Adapter, load_adapter, open_adapter
from vdprobe.models.diffusion.forms import ADAPTER_PARTS, NO_ADAPTER, Cell
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.specs.features import NoiseKind

TRAINED_WITH: Mapping[NoiseKind, NoiseKind] = {"none": "gaussian", "frame-shared": "gaussian", "inverted": "gaussian"}
"""Noises that nobody trains an adapter for, and the noise whose adapter they take."""


def open_adapters(name: str | None, pipeline: Pipeline, cells: Iterable[Cell]) -> dict[Cell, Adapter]:
    """The adapter of each cell; a cell without one is left out.

    - `name`: a .safetensors file or `random:SEED` for all cells; a folder with files such as
      `vd-it-predicted.safetensors`; `none` for no adapter; None for what comes with the pipeline, if
      anything does.

    In a folder the noises `none` and `frame-shared` take the file of `gaussian`, and `concat`, which
    has a raw form, may have no file. Raises `ModelError` for any other file that is missing.
    """
    cells = tuple(dict.fromkeys(cells))
    folder = pipeline.folders.get("adapters") if name is None else Path(name).expanduser()
    if folder is None or name == NO_ADAPTER:
        return {}
    if not folder.is_dir():
        one = open_adapter(str(name), pipeline)
        return dict.fromkeys(cells, one)
    files = {path.stem: path for path in sorted(folder.glob("*.safetensors"))}
    opened: dict[str, Adapter] = {}
    out: dict[Cell, Adapter] = {}
    for condition, noise in cells:
        stem = f"{condition}-{TRAINED_WITH.get(noise, noise)}"
        if stem in files:
            opened.setdefault(stem, load_adapter(files[stem]))
            out[condition, noise] = opened[stem]
        elif condition != "concat" or noise == "predicted":
            raise ModelError(
                f"{folder} has no adapter for {condition} with noise {noise} ({stem}.safetensors); it has "
                f"{', '.join(files) or 'none'}: train it with vdprobe train-adapter, or give another --adapter "
                f"(--adapter {NO_ADAPTER} takes {', '.join(kind for kind in ADAPTER_PARTS if kind != 'vd-it')} raw)"
            )
    return out
