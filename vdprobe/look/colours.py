"""Features as colours: three principal components whose basis belongs to a spec and a tap, not to a clip."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vdprobe.look.decoded import DecodedClip

SAMPLED = 4096
"""Places that a basis is fitted to."""


@dataclass(frozen=True)
class ColourBasis:
    """From features to red, green and blue.

    - `axes`: the first three principal components. `low`, `high`: what becomes 0 and 255 along each.
    - `clips`: how many it was fitted to.
    """

    mean: Float[Tensor, " C"]
    axes: Float[Tensor, "C 3"]
    low: Float[Tensor, " 3"]
    high: Float[Tensor, " 3"]
    clips: int


def sample_places(clip: DecodedClip, count: int) -> Float[Tensor, "n C"]:
    """About `count` places of a clip, evenly over its frames and cells, in float32."""
    frames, _, rows, columns = clip.values.shape
    wanted = torch.linspace(0, frames * rows * columns - 1, min(count, frames * rows * columns)).round().long()
    frame, place = wanted // (rows * columns), wanted % (rows * columns)
    return clip.values[frame, :, place // columns, place % columns].float()


def fit_colours(clips: Iterable[Float[Tensor, "_ C"]]) -> ColourBasis:
    """The basis of places that were sampled from clips.

    A component's sign is that of its largest weight, so that the same places give the same colours everywhere.
    """
    sampled = list(clips)
    places = torch.cat(sampled)
    mean = places.mean(dim=0)
    centred = places - mean
    axes = principal_axes(centred, 3)
    projected = (centred @ axes).numpy()
    low, high = (torch.from_numpy(np.percentile(projected, q, axis=0)).float() for q in (1, 99))
    return ColourBasis(mean, axes, low, high, len(sampled))


def principal_axes(places: Float[Tensor, "n C"], count: int) -> Float[Tensor, "C k"]:
    """The `count` directions in which places lie furthest from 0; zeros beyond the number of channels."""
    from scipy.linalg import eigh

    channels = places.shape[1]
    kept = min(count, channels)
    _, vectors = eigh((places.T @ places).double().numpy(), subset_by_index=(channels - kept, channels - 1))
    axes = np.zeros((channels, count), np.float32)
    axes[:, :kept] = vectors[:, ::-1]
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(count)]
    return torch.from_numpy(axes * np.where(largest < 0, -1, 1).astype(np.float32))


def colour_map(clip: DecodedClip, basis: ColourBasis) -> UInt8[np.ndarray, "F h w 3"]:
    """The colours of every place of a clip."""
    projected = clip.project(basis.axes) - basis.mean @ basis.axes
    shares = (projected - basis.low) / (basis.high - basis.low).clamp(min=1e-12)
    colours = shares.clamp_(0, 1).mul_(255).round_().byte()
    return colours.view(-1, clip.grid.rows, clip.grid.columns, 3).numpy()
