"""One self-contained file of a view, which needs neither the store nor a server."""

import base64
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int8
from torch import Tensor

from vdprobe.errors import ConfigError, VdprobeError
from vdprobe.look.colours import SAMPLED, principal_axes, sample_places
from vdprobe.look.cosines import TINY
from vdprobe.look.decoded import DecodedClip
from vdprobe.look.page_text import page_text
from vdprobe.look.view import View
from vdprobe.look.viewer import Column, Viewer
from vdprobe.training.checkpoint import replace_file

COMPONENTS = 64
"""Of a feature in an exported page."""


def export_page(viewer: Viewer, view: View) -> str:
    """The page of a view: its frames, masks and colours, and features as bytes of 64 components.

    Clicks work in it; cosines are those of the components, and the page says how far they are off.

    Raises `ConfigError` for what the store does not have.
    """
    columns = viewer.columns(view)
    view = View(**{**asdict(view), "video": columns[0].clip.video, "clip": columns[0].clip.clip})
    page: dict[str, Any] = {
        "about": "an exported view",
        "clips": {_key(column, columns): [_clip(column)] for column in columns},
        "frames": _frames(viewer, columns[0]),
        "centred": view.centred,
        "columns": [_column(viewer, column, view) for column in columns],
        "modes": ["frames", "colours", "similarity", *(["label"] if view.mode == "label" else [])],
        **_masks(viewer, columns[0]),
    }
    given = {"view": {**asdict(view), **_keys(columns)}, "specs": _specs(columns), "store": "", "page": page}
    return page_text(given)


def write_page(viewer: Viewer, view: View, path: Path) -> int:
    """Writes the page of a view to a file; gives its bytes. Raises `ConfigError` for a path that is no .html file."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"{path} is no .html file; give a name that ends in .html")
    content = export_page(viewer, view).encode()
    replace_file(path, lambda part: part.write_bytes(content))
    return len(content)


def compressed(
    clip: DecodedClip, count: int = COMPONENTS, *, centred: bool = False
) -> tuple[Int8[np.ndarray, "F P k"], Float[np.ndarray, " k"], float]:
    """Unit features of every place along their `count` principal axes, in steps of each axis, and their error.

    The inner product of two places' parts, times the squares of the steps, is their cosine; the error is the largest
    of those seen between some hundred places and all.
    """
    lengths = (clip.centred_norms if centred else clip.norms).clamp(min=TINY)
    mean = clip.mean if centred else torch.zeros_like(clip.mean)
    sample = sample_places(clip, SAMPLED) - mean
    axes = principal_axes(sample / sample.norm(dim=1, keepdim=True).clamp(min=TINY), count)
    parts = (clip.project(axes) - mean @ axes) / lengths[..., None]
    steps = (parts.abs().amax(dim=(0, 1)) / 127).clamp(min=TINY)
    whole = (parts / steps).round().to(torch.int8)
    return whole.numpy(), steps.numpy(), _error(sample, axes, steps)


def _error(sample: Float[Tensor, "n C"], axes: Float[Tensor, "C k"], steps: Float[Tensor, " k"]) -> float:
    """The largest difference of cosines within a sample."""
    units = sample / sample.norm(dim=1, keepdim=True).clamp(min=TINY)
    parts = (units @ axes / steps).round().clamp(-127, 127) * steps
    few = slice(None, None, max(1, len(units) // 128))
    return float((units[few] @ units.T - parts[few] @ parts.T).abs().max())


def _column(viewer: Viewer, column: Column, view: View) -> dict[str, Any]:
    clip = viewer.decoded(column)
    colours, grid = viewer.colours(column)
    parts, steps, error = compressed(clip, centred=view.centred)
    out: dict[str, Any] = {
        "shape": colours.shape[:3],
        "extent": grid.extent,
        "flip": grid.flip,
        "colours": _text(colours.tobytes()),
        "parts": _text(parts.tobytes()),
        "steps": [float(f"{step:.6g}") for step in steps],
        "error": error,
    }
    if view.mode == "label":
        point = None if view.x is None or view.y is None else (view.x, view.y)
        found = viewer.carried(column, view.frame if view.f is None else view.f, point)
        out["label"] = {"objects": found.objects, "outlines": found.outlines, "overlaps": found.overlaps}
    return out


def _frames(viewer: Viewer, column: Column) -> list[str]:
    try:
        return [_text(viewer.videos.frame(column.clip, number).jpeg) for number in range(len(column.clip.frames))]
    except VdprobeError:
        return []  # the page shows the maps alone, as the viewer does


def _masks(viewer: Viewer, column: Column) -> dict[str, Any]:
    try:
        objects, lines = viewer.outlines(column)
    except VdprobeError as error:
        return {"masks": None, "no_masks": str(error)}
    return {"masks": {"objects": objects, "outlines": lines}}


def _clip(column: Column) -> dict[str, Any]:
    clip = column.clip
    named = {"video": clip.video, "clip": clip.clip, "text": clip.text, "frames": clip.frames}
    return {
        **named,
        "sigmas": [sigma for sigma, t in zip(clip.sigmas, clip.spec.timesteps, strict=False) if t == column.timestep],
    }


def _specs(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """The specs of the columns, with no more to choose than what the page carries."""
    out = []
    for column in columns:
        levels = [] if column.timestep is None else [column.timestep]
        spec = column.clip.spec
        out.append({"key": _key(column, columns), "label": spec.label, "taps": [column.tap], "timesteps": levels})
    return out


def _key(column: Column, columns: Sequence[Column]) -> str:
    """Of the second of two columns of one spec another one: each has but one tap and timestep to choose."""
    key = column.clip.spec.key[:16]
    return f"{key}b" if column is columns[-1] and column is not columns[0] else key


def _keys(columns: Sequence[Column]) -> dict[str, str]:
    return {f"spec{end}": _key(column, columns) for end, column in zip(("", "2"), columns, strict=False)}


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
