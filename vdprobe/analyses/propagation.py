"""Label propagation: the first frame's mask, carried through a clip by the similarity of features alone.

The training-free evaluation of Jabri et al. 2020 (contrastive random walks) and Caron et al. 2021 (DINO):
each place of a frame takes the labels of the places it resembles most in the first frame and the last few.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Integer, UInt8
from torch import Tensor
from torch.nn import functional

from vdprobe.errors import ConfigError, DataError
from vdprobe.metrics.contour import contour_accuracy
from vdprobe.metrics.region import region_similarity
from vdprobe.models.pixels.patches import patches

TILE = 16
"""Side of the squares of cells that are looked up at once: affinities fill tens of MB at the most."""


@dataclass(frozen=True, kw_only=True)
class Propagation:
    """Where a place looks for its label, and how it weighs what it finds.

    - `topk`: the most similar places vote; one alone is noisy, many blur. 5 as in DINO.
    - `context`: earlier frames looked at beside the first one. 4: all of a five-frame clip; DINO has 7.
    - `radius`: how far away, as a share of the grid's longer side, so that it means the same at every
      stride. 0.25: about twice DINO's 12 of 107 cells, as frames of a clip may lie further apart.
    - `temperature`: of the softmax over the `topk` cosine similarities. 0.1 as in DINO.
    """

    topk: int = 5
    context: int = 4
    radius: float = 0.25
    temperature: float = 0.1

    def __post_init__(self) -> None:
        if self.topk < 1 or self.context < 0 or not self.radius >= 0 or not self.temperature > 0:
            raise ConfigError(
                f"{self} makes no sense: topk must be at least 1, context and radius at least 0, temperature above 0"
            )


@dataclass(frozen=True)
class ObjectScore:
    """J and F of one object, means over the frames after the first."""

    label: int
    j: float
    f: float

    @property
    def jf(self) -> float:
        """Mean of J and F."""
        return (self.j + self.f) / 2


def propagate_labels(
    features: Float[Tensor, "F C H W"],
    first_mask: Integer[np.ndarray, "Hm Wm"],
    settings: Propagation,
    keys: Float[Tensor, "F C H W"] | None = None,
) -> Integer[np.ndarray, "F Hm Wm"]:
    """A mask for each frame; frame 0 is `first_mask` itself, in which 0 is the background.

    - `keys`: what a place's feature is compared with in the frames that it looks at: the keys of an attention whose
      queries the features are (DiffTrack, NeurIPS 2025). None for the features themselves.

    Labels travel as shares of a cell, so that an object's edge is finer than the grid; the largest share
    wins after bilinear upsampling. An object that fills less than half of each of its cells thus loses to
    what surrounds it. Raises `DataError` when the mask has no object or is smaller than the grid, or a
    feature is not finite.
    """
    height, width = features.shape[2:]
    if not first_mask.any():
        raise DataError("the first mask has no object; begin the clip at a frame that shows one")
    if first_mask.shape[0] < height or first_mask.shape[1] < width:
        raise DataError(
            f"the mask has {first_mask.shape[1]}x{first_mask.shape[0]} pixels, fewer than the features' "
            f"{width}x{height} cells; give the mask at the video's size"
        )
    if not all(values.isfinite().all() for values in (features, *(() if keys is None else (keys,)))):
        raise DataError("features hold NaN or infinite values; compute them in float32 or bfloat16")
    units = functional.normalize(features.float().movedim(1, -1), dim=-1)
    others = units if keys is None else functional.normalize(keys.float().movedim(1, -1), dim=-1)
    labels = np.unique(first_mask)
    whole = torch.from_numpy(first_mask == labels[:, None, None]).to(units)
    shares = [functional.adaptive_avg_pool2d(whole, (height, width)).movedim(0, -1)]
    masks = [first_mask]
    for frame in range(1, len(units)):
        seen = [0, *range(max(1, frame - settings.context), frame)]
        shares.append(_look_up(units[frame], others[seen], torch.stack([shares[s] for s in seen]), settings))
        full = functional.interpolate(shares[-1].movedim(-1, 0)[None], size=first_mask.shape, mode="bilinear")
        masks.append(labels[full[0].max(dim=0).indices.cpu().numpy()])
    return np.stack(masks)


def pixel_patches(frames: UInt8[np.ndarray, "F H W 3"], size: int = 8) -> Float[Tensor, "F C h w"]:
    """The pixels of each square of `size` x `size` as its feature, in [-1, 1]: what any feature must beat.

    The range is the model's own; in [0, 1] all patches would point the same way and cosines say little.
    Raises `DataError` when the sides are no multiple of `size`.
    """
    return patches(torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1, size)


def propagation_scores(
    masks: Integer[np.ndarray, "F H W"], truth: Integer[np.ndarray, "_ _ _"]
) -> tuple[ObjectScore, ...]:
    """J and F of each object of the first true frame, over all later frames; empty on both sides scores 1.

    DAVIS leaves out the last frame as well; a short clip cannot spare it. Raises `DataError` when the
    shapes differ, there is no later frame, or the first true frame has no object.
    """
    if masks.shape != truth.shape:
        raise DataError(f"masks are {masks.shape}, the truth is {truth.shape}; bring both to the video's size")
    labels = [int(label) for label in np.unique(truth[:1]) if label]
    if len(truth) < 2 or not labels:
        raise DataError(f"{len(truth)} frames with {len(labels)} objects in the first cannot be scored; give 2 and 1")
    scores = []
    for label in labels:
        pair = masks[1:] == label, truth[1:] == label
        scores.append(ObjectScore(label, float(region_similarity(*pair).mean()), float(contour_accuracy(*pair).mean())))
    return tuple(scores)


def _look_up(
    frame: Float[Tensor, "H W C"],
    seen: Float[Tensor, "S H W C"],
    shares: Float[Tensor, "S H W L"],
    settings: Propagation,
) -> Float[Tensor, "H W L"]:
    """Label shares of one frame from those of the frames it looks at, tile by tile.

    A tile is compared with no more than the box that its cells can reach.
    """
    height, width = frame.shape[:2]
    reach = settings.radius * max(height, width)
    out = torch.empty_like(shares[0])
    for top in range(0, height, TILE):
        rows, box_rows = _spans(top, height, reach)
        down = (_range(rows, frame)[:, None] - _range(box_rows, frame)) ** 2
        for left in range(0, width, TILE):
            columns, box_columns = _spans(left, width, reach)
            across = (_range(columns, frame)[:, None] - _range(box_columns, frame)) ** 2
            far = down[:, None, :, None] + across[None, :, None, :] > reach**2
            queries = frame[rows, columns].flatten(0, 1)
            affinity = queries @ seen[:, box_rows, box_columns].flatten(0, 2).T
            affinity.view(len(queries), len(seen), -1).masked_fill_(far.view(len(queries), 1, -1), -torch.inf)
            best, places = affinity.topk(min(settings.topk, affinity.shape[1]))
            votes = shares[:, box_rows, box_columns].flatten(0, 2)[places]
            weights = (best / settings.temperature).softmax(dim=1)
            out[rows, columns] = (weights[..., None] * votes).sum(dim=1).view_as(out[rows, columns])
    return out


def _spans(start: int, side: int, reach: float) -> tuple[slice, slice]:
    """The cells of a tile along one side, and those within their reach."""
    stop = min(start + TILE, side)
    return slice(start, stop), slice(max(0, int(start - reach)), min(side, int(stop + reach)))


def _range(span: slice, like: Tensor) -> Tensor:
    return torch.arange(span.start, span.stop, device=like.device, dtype=like.dtype)
