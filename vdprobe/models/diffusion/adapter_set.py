"""Which adapter each cell of a grid goes through: one file for all, or a folder with one for each.

VD-IT trains an adapter for one condition and one noise, so a grid over both wants several.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from vdprobe.errors import ConfigError, ModelError
from vdprobe.models.diffusion.adapter import Adapter, load_adapter, make_adapter
from vdprobe.models.diffusion.family import Family
from vdprobe.models.diffusion.forms import ADAPTER_PARTS, NO_ADAPTER, Cell
from vdprobe.specs.features import Condition, NoiseKind
from vdprobe.specs.numbers import whole_number

TRAINED_WITH: Mapping[NoiseKind, NoiseKind] = {"none": "gaussian", "frame-shared": "gaussian", "inverted": "gaussian"}
"""Noises that nobody trains an adapter for, and the noise whose adapter they take."""


def open_adapter(name: str, family: Family, *, image: bool = True) -> Adapter:
    """A file, or `random:SEED`: an untrained adapter of the model's widths, as a control.

    - `image`: whether a condition uses the image; where none does, a model without an image encoder has an adapter
      too, without the parts for image tokens.
    """
    if not name.startswith("random:"):
        return load_adapter(name)
    seed = whole_number(name.removeprefix("random:"))
    if seed is None or seed < 0:
        raise ConfigError(f"adapter '{name}': write random:SEED, such as random:0, or the path of a .safetensors file")
    image = image or family.pipeline.has("image_encoder")
    adapter = make_adapter(
        width=family.token_width,
        image_width=family.pipeline.config("image_encoder")["hidden_size"] if image else 1,
        latent_channels=family.latent_channels,
        seed=seed,
    )
    if not image:
        adapter.image_projection = adapter.text_image_attention = None
    return adapter


def open_adapters(name: str | None, family: Family, cells: Iterable[Cell]) -> dict[Cell, Adapter]:
    """The adapter of each cell; a cell without one is left out.

    - `name`: a .safetensors file or `random:SEED` for all cells; a folder with files such as
      `vd-it-predicted.safetensors`; `none` for no adapter; None for what comes with the pipeline, if
      anything does.

    In a folder the noises `none` and `frame-shared` take the file of `gaussian`, and `concat`, which
    has a raw form, may have no file. Raises `ModelError` for any other file that is missing.
    """
    cells = tuple(dict.fromkeys(cells))
    folder = family.pipeline.folders.get("adapters") if name is None else Path(name).expanduser()
    if folder is None or name == NO_ADAPTER:
        return {}
    if not folder.is_dir():
        image = any(Condition(kind=kind, form="adapter").uses_image for kind, _ in cells)
        one = open_adapter(str(name), family, image=image)
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
