"""Options that several commands share, and how they become one configuration.

A spec file holds everything; an option on the command line wins over it, `--set` over both.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from vdprobe.extraction.config import ExtractConfig

Spec = Annotated[Path | None, typer.Argument(help="YAML file with any of the options below.", show_default=False)]
Videos = Annotated[str | None, typer.Option("--videos", help="Video file, folder of videos or frames, or dataset.")]
LAYOUTS = "auto, files, frames, ref-davis, ref-ytvos, ref-davis17, mevis, a2d, jhmdb, refcoco, refcoco+ or refcocog."
Layout = Annotated[str | None, typer.Option(help=LAYOUTS)]
Only = Annotated[list[str] | None, typer.Option(help="Ids of the videos to take; repeat or separate by commas.")]
Expressions = Annotated[str | None, typer.Option(help="JSON or CSV file of texts for the videos.")]
PIPELINES = "Pipeline folder, Hugging Face id, tiny-t2v or random:tiny"
Model = Annotated[str | None, typer.Option("--model", help=f"{PIPELINES}.")]
CONTROLS = "pixels, vision:ID_OR_FOLDER, random-vision:ID_OR_FOLDER, video-swin:b, random-video-swin:b"
MODELS = f"{PIPELINES}; or a control: {CONTROLS}."
AnyModel = Annotated[str | None, typer.Option("--model", help=MODELS)]
ImageEncoder = Annotated[str | None, typer.Option(help="CLIP vision model: folder or id.")]
Adapter = Annotated[str | None, typer.Option(help=".safetensors file, folder of them, random:SEED, or none.")]
Tap = Annotated[
    list[str] | None, typer.Option(help="Taps, or the set vd-it; see `vdprobe layers`. A model has its default.")
]
Condition = Annotated[list[str] | None, typer.Option(help="vd-i, vd-t, vd-it, concat.")]
Noise = Annotated[list[str] | None, typer.Option(help="none, gaussian, frame-shared, predicted, inverted.")]
Timestep = Annotated[list[str] | None, typer.Option(help="500, s=0.2, sigma=0.5, logsnr=2 or clean.")]
Dtype = Annotated[str | None, typer.Option(help="Compute in float32, float16 or bfloat16.")]
StoreDtype = Annotated[str | None, typer.Option(help="Store as float16, float32, bfloat16 or int8.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Seed = Annotated[int | None, typer.Option(help="Seed of every draw.")]
BatchSize = Annotated[int | None, typer.Option(help="Expressions of a clip that share a forward.")]
Exact = Annotated[
    bool | None, typer.Option("--exact/--no-exact", help="Equal to the bit in any batch; one thread (CPU).")
]
Store = Annotated[str | None, typer.Option("--store", help="Folder of the store.", envvar="VDPROBE_CACHE")]
Verify = Annotated[
    bool | None,
    typer.Option("--verify/--no-verify", help="Compare features with their checksums when they are first read."),
]
Set = Annotated[list[str] | None, typer.Option("--set", help="Any option by path, such as --set clips.frames=5.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


PATHS = {
    "videos": "videos.path",
    "layout": "videos.layout",
    "only": "videos.only",
    "expressions": "videos.expressions",
    "model": "model.pipeline",
    "image_encoder": "model.image_encoder",
    "adapter": "model.adapter",
    "dtype": "model.dtype",
    "device": "model.device",
    "tap": "taps",
    "condition": "conditions",
    "noise": "noises",
    "timestep": "timesteps",
    "store_dtype": "store.dtype",
    "store": "store.path",
    "verify": "store.verify",
    "seed": "seed",
    "batch_size": "batch_size",
    "exact": "exact",
}
"""Parameter of a command to its place in `ExtractConfig`."""


def build_config(parameters: Mapping[str, Any]) -> "ExtractConfig":
    """The configuration of an extraction from a command's parameters (`Context.params`)."""
    from vdprobe.extraction.config import parse_config

    return parse_config(gather(parameters, PATHS))


def gather(
    parameters: Mapping[str, Any],
    paths: Mapping[str, str],
    *,
    base: Mapping[str, Any] | None = None,
    within: str = "",
    model: bool = True,
) -> dict[str, Any]:
    """The values of spec file, options and `--set`, as one mapping that names a model, if one is needed, and videos.

    - `paths`: parameter to its place in the configuration.
    - `base`: values that all of these win over. `within`: where in the configuration model and videos are.
    - `model`: whether one is needed.
    """
    from vdprobe.errors import ConfigError
    from vdprobe.specs.load import merge, parse_assignments, read_yaml

    values = merge(base or {}, read_yaml(parameters["spec"]) if parameters["spec"] else {})
    for name, path in paths.items():
        value = parameters.get(name)
        if value is None or value in ((), []):  # not given
            continue
        nested: Any = split_list(name, value) if isinstance(value, list | tuple) else value
        for key in reversed(path.split(".")):
            nested = {key: nested}
        values = merge(values, nested)
    values = merge(values, parse_assignments(parameters["assignments"] or ()))
    inner = values.get(within) if within else values
    needed = [("model", "pipeline", "--model")] if model else []
    for section, key, option in (*needed, ("videos", "path", "--videos")):
        there = inner.get(section) if isinstance(inner, dict) else None
        if not isinstance(there, dict) or key not in there:
            path = f"{within}.{section}.{key}".lstrip(".")
            raise ConfigError(f"nothing says which {section}: give {option}, or '{path}' in a spec file")
    return values


def split_list(name: str, values: Iterable[str]) -> list[str]:
    """What an option names, repeated or separated by commas.

    Raises `ConfigError` where that is nothing, which would be as if it were not given.
    """
    from vdprobe.errors import ConfigError

    parts = [part.strip() for value in values for part in value.split(",")]
    if not all(parts):
        raise ConfigError(f"--{name} has a name that is empty; separate names by one comma, or leave the option out")
    return parts
