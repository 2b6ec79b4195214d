"""`vdprobe doctor`: what this installation can do."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import typer

from vdprobe.cli.options import Json
from vdprobe.cli.output import human_bytes, print_json, say

PACKAGES = (
    "vdprobe", "torch", "diffusers", "transformers", "zarr", "h5py", "safetensors", "av", "numpy", "scipy",
    "scikit-learn", "pandas", "matplotlib", "typer",
)  # fmt: skip


def doctor(as_json: Json = False) -> None:
    """Versions, devices, decoders, free space and offline flags; exit status 1 if something is broken."""
    facts, problems = examine()
    if as_json:
        print_json({"facts": facts, "problems": problems})
    else:
        for name, value in facts.items():
            typer.echo(f"{name:<14} {value}")
        for problem in problems:
            say(f"problem: {problem}")
    raise typer.Exit(1 if problems else 0)


def examine() -> tuple[dict[str, Any], list[str]]:
    """(facts, problems)."""
    facts: dict[str, Any] = {"python": platform.python_version(), "platform": platform.platform()}
    problems: list[str] = []
    for package in PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            problems.append(f"{package} is not installed; run: pip install vdprobe")
    for check in (_devices, _decoders, _store, _hub):
        try:
            facts |= check()
        except Exception as error:  # a doctor reports what is broken, whatever it is
            problems.append(f"{check.__name__.strip('_')}: {type(error).__name__}: {error}")
    return facts, problems


def _devices() -> dict[str, Any]:
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"gpus": ", ".join(gpus) or "none", "cpu threads": torch.get_num_threads()}


def _decoders() -> dict[str, Any]:
    # Found is not enough: decoders fail when they load.
    import av
    from PIL import features

    codecs = [name for name in ("h264", "hevc", "vp9", "av1", "mpeg4") if name in av.codecs_available]
    return {"video codecs": ", ".join(codecs), "jpeg, png": f"{features.check('jpg')}, {features.check('zlib')}"}


def _store() -> dict[str, Any]:
    from vdprobe.extraction.estimate import free_bytes
    from vdprobe.store.location import default_root

    root = default_root()
    return {"store": f"{root} ({'exists' if root.exists() else 'not made yet'}, {human_bytes(free_bytes(root))} free)"}


def _hub() -> dict[str, Any]:
    from huggingface_hub import constants

    return {"HF offline": constants.HF_HUB_OFFLINE, "HF cache": constants.HF_HUB_CACHE}
