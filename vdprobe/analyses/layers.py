"""What a layer's features are like, and how alike those of two layers are, in one pass over the clips.

Sums of clips merge: any worker's with any other's, in any order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch.nn import functional

from vdprobe.errors import DataError
from vdprobe.specs.draws import draw_digest

TOP_SHARE = 0.01
"""Of the channels: those whose share of the variance is told. At least one."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over places, from which `layer_statistics` follow; 8 C^2 bytes.

    - `scatter`: sum of the outer products of features less their mean.
    - `norms`: sum of the features' lengths.
    """

    places: int
    mean: Float64[np.ndarray, " C"]
    scatter: Float64[np.ndarray, "C C"]
    norms: float

    def merge(self, other: "Moments") -> "Moments":
        """Those of both: as if all places had been summed at once (Chan et al. 1983)."""
        places = self.places + other.places
        apart = other.mean - self.mean
        shift = np.outer(apart, apart) * (self.places * other.places / places)
        return Moments(
            places,
            self.mean + apart * (other.places / places),
            self.scatter + other.scatter + shift,
            self.norms + other.norms,
        )


@dataclass(frozen=True)
class LayerStatistics:
    """Of one layer, over all places of all frames.

    - `norm`, `norm_spread`: mean and standard deviation of a feature's length.
    - `top_share`: share of the variance in the hundredth of the channels that has most of it.
    - `peak`: root mean square of the largest channel over that of the median one: 1 where all are alike,
      hundreds where a few channels drown the others; infinite where half of them are zero.
    - `entropy_rank`: exp of the entropy of the covariance's normalised spectrum (Roy and Vetterli 2007).
    - `participation`: participation ratio, (sum of eigenvalues)^2 / sum of their squares. Both ranks are k where
      variance is spread evenly over k directions; of fewer places than ten times the channels they are too small.
    """

    places: int
    channels: int
    norm: float
    norm_spread: float
    top_share: float
    peak: float
    entropy_rank: float
    participation: float


@dataclass(frozen=True, eq=False)
class HsicSums:
    """Sums over batches of the likeness of each two layers, from which their CKA follows."""

    names: tuple[str, ...]
    total: Float64[np.ndarray, "L L"]
    batches: int

    def merge(self, other: "HsicSums") -> "HsicSums":
        """Those of both; raises `DataError` when they are of other layers."""
        if self.names != other.names:
            raise DataError(f"sums of layers {self.names} and {other.names} do not merge; ask both for the same")
        return HsicSums(self.names, self.total + other.total, self.batches + other.batches)

    def cka(self) -> Float64[np.ndarray, "L L"]:
        """Linear CKA of each two layers: 1 for a rotation and a scaling, 0 on average for what is independent.

        Unbiased sums may fall a little below 0. Raises `DataError` for a layer that does not vary.
        """
        own = self.total.diagonal()
        flat = [name for name, value in zip(self.names, own, strict=True) if not value > 0]
        if flat:
            raise DataError(f"layer '{flat[0]}' does not vary over the places drawn; draw more, or leave it out")
        return self.total / np.sqrt(np.outer(own, own))


def sum_moments(features: Float[np.ndarray, "F C H W"]) -> Moments:
    """Of all places of a clip; raises `DataError` when a feature is not finite."""
    if not np.isfinite(features).all():
        raise DataError("features hold NaN or infinite values; compute them in float32 or bfloat16")
    # frame by frame: float64 of a whole clip may be gigabytes
    return reduce(Moments.merge, map(_frame_moments, features))


def layer_statistics(moments: Moments) -> LayerStatistics:
    """The statistics of the places summed so far; raises `DataError` when features do not vary."""
    count, channels = moments.places, len(moments.mean)
    variance = moments.scatter.diagonal() / count
    total = variance.sum()
    if not total > 0:
        raise DataError(f"features are the same in all {count} places; check the layer, or give more places")
    top = max(1, round(TOP_SHARE * channels))
    sizes = np.sqrt(variance + moments.mean**2)
    middle = np.median(sizes)
    spectrum = np.linalg.eigvalsh(moments.scatter).clip(0)
    spectrum /= spectrum.sum()
    seen = spectrum[spectrum > 0]
    norm = moments.norms / count
    return LayerStatistics(
        places=count,
        channels=channels,
        norm=norm,
        norm_spread=float(np.sqrt(max(total + (moments.mean**2).sum() - norm**2, 0))),
        top_share=float(np.sort(variance)[-top:].sum() / total),
        peak=float(sizes.max() / middle) if middle else np.inf,
        entropy_rank=float(np.exp(-(seen * np.log(seen)).sum())),
        participation=float(1 / (spectrum**2).sum()),
    )


def common_places(
    layers: Mapping[str, Float[np.ndarray, "F _ _ _"]], video: str, *, count: int, seed: int = 0
) -> dict[str, Float64[np.ndarray, "n _"]]:
    """Features of the same `count` places in each layer, or of all if there are fewer.

    All layers of all backbones to be compared, of the same frames: they are averaged to the coarsest grid. Places
    are drawn from (`seed`, video id) alone.
    """
    grid = min((value.shape[2:] for value in layers.values()), key=np.prod)
    places = len(next(iter(layers.values()))) * grid[0] * grid[1]
    rng = np.random.default_rng(list(draw_digest("places", seed, video)))
    chosen = np.sort(rng.permutation(places)[:count])
    out = {}
    for layer, value in layers.items():
        coarse = functional.adaptive_avg_pool2d(torch.tensor(value, dtype=torch.float32), grid).double().numpy()
        out[layer] = coarse.transpose(0, 2, 3, 1).reshape(places, -1)[chosen]
    return out


def sum_hsic(batch: Mapping[str, Float64[np.ndarray, "n _"]]) -> HsicSums:
    """The unbiased HSIC (Song et al. 2012) of each two layers over one batch of places, with linear kernels.

    Its sum over batches gives the CKA of all of them (Nguyen et al. 2021), whatever the size of a batch; the
    biased one would call any two layers alike in small batches. Takes 8 n^2 bytes a layer. Raises `DataError`
    for fewer than four places, or a feature that is not finite.
    """
    kernels = []
    for name, features in batch.items():
        count = len(features)
        if count < 4 or not np.isfinite(features).all():
            raise DataError(
                f"layer '{name}': {count} places, all finite: {bool(np.isfinite(features).all())}; give 4 finite ones"
            )
        centred = features - features.mean(axis=0)  # changes no value, but keeps a large mean from rounding them
        kernel = centred @ centred.T
        np.fill_diagonal(kernel, 0)
        kernels.append(kernel)
    sums = np.stack([kernel.sum(axis=1) for kernel in kernels])
    whole = sums.sum(axis=1)
    flat = np.stack(kernels).reshape(len(kernels), -1)
    total = flat @ flat.T + np.outer(whole, whole) / ((count - 1) * (count - 2)) - sums @ sums.T * (2 / (count - 2))
    return HsicSums(tuple(batch), total / (count * (count - 3)), 1)


def _frame_moments(frame: Float[np.ndarray, "C H W"]) -> Moments:
    flat = frame.reshape(len(frame), -1).astype(np.float64)
    mean = flat.mean(axis=1)
    norms = float(np.linalg.norm(flat, axis=0).sum())
    flat -= mean[:, None]
    return Moments(flat.shape[1], mean, flat @ flat.T, norms)
