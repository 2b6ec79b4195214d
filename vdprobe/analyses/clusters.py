"""k-means over the features of a clip: does an object keep its cluster from frame to frame? Figure 1 of VD-IT."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Integer, UInt8

from vdprobe.errors import DataError

CLUSTERS, COMPONENTS = 3, 3
"""As in the official visualisation."""
STARTS = 10
"""Of k-means: scikit-learn's default until 1.3, the newest when the official code was written."""


@dataclass(frozen=True)
class LabelStability:
    """How much of a labelling stays from one frame to the next: 1 is all of it.

    - `floor`: the mean of `value` over all orders of the clip's frames: what stays where time says nothing.
      Above it, something is followed; as high as it, the clip stands still, or one label has all.
    """

    value: float
    floor: float


def cluster_official(features: Float[np.ndarray, "F C H W"]) -> Integer[np.ndarray, "F H W"]:
    """The cluster of each place, probably as VD-IT's figure has it: by the colours of its frame's own PCA.

    Each frame's first three components are scaled to 0..255 together and cut to whole numbers; k-means then
    runs over all frames. A basis of its own for each frame means that labels may change where features do
    not. Recovered from compiled code: whether components are scaled together or alone is not known.
    Raises `DataError` as `cluster_jointly` does.
    """
    _check(features, least=features[0, 0].size)
    return _k_means(np.stack([_colours(_components(frame[None])[0]) for frame in features]))


def cluster_jointly(features: Float[np.ndarray, "F C H W"]) -> Integer[np.ndarray, "F H W"]:
    """The cluster of each place by the first three components of all frames together, not rounded.

    Raises `DataError` when a feature is not finite, or there are fewer than three channels or places.
    """
    _check(features, least=features[:, 0].size)
    return _k_means(_components(features))


def label_stability(labels: Integer[np.ndarray, "F H W"]) -> LabelStability:
    """The adjusted Rand index between consecutive frames, place by place: 1 for the same parts, 0 by chance.

    It asks whether places stay together, not whether their labels keep their names; and what moves counts
    as change. Raises `DataError` for fewer than two frames.
    """
    count = _check_frames(labels)
    index = _rand_indices(labels.reshape(count, -1))
    return LabelStability(float(index.diagonal(1).mean()), float(index[~np.eye(count, dtype=bool)].mean()))


def object_stability(labels: Integer[np.ndarray, "F H W"], cells: Integer[np.ndarray, "F H W"]) -> LabelStability:
    """How often an object has the same dominant label in two consecutive frames, the mean over objects.

    - `cells`: the object of each place, as `cell_labels` gives it: 0 and below are none.

    The dominant label is the most frequent one in the object's cells, the smallest of several. In the floor
    masks stay and labels change their order. Frames without a cell of the object are left out. Raises
    `DataError` for fewer than two frames, or when no object is in two consecutive ones.
    """
    count = _check_frames(labels)
    kept, floors = [], []
    others = ~np.eye(count, dtype=bool)
    for label in np.unique(cells[cells > 0]):
        masks = cells == label
        there = np.flatnonzero(masks[1:].any(axis=(1, 2)) & masks[:-1].any(axis=(1, 2)))
        if len(there):
            # of the labels of frame b in the mask of frame a
            dominant = np.array(
                [[np.bincount(b[mask]).argmax() if mask.any() else -1 for b in labels] for mask in masks]
            )
            kept.append(np.mean([dominant[t, t] == dominant[t + 1, t + 1] for t in there]))
            floors.append(np.mean([(dominant[t][:, None] == dominant[t + 1])[others].mean() for t in there]))
    if not kept:
        raise DataError("no object fills a cell in two consecutive frames; give a layer with finer cells")
    return LabelStability(float(np.mean(kept)), float(np.mean(floors)))


def _rand_indices(labels: Integer[np.ndarray, "F places"]) -> Float64[np.ndarray, "F F"]:
    """The adjusted Rand index of each two frames, all at once: scikit-learn's takes a millisecond for two."""
    places = labels.shape[1]
    whole = (labels[:, None] == np.unique(labels)[:, None]).astype(np.float64)
    both = np.einsum("akp,blp->abkl", whole, whole, optimize=True)
    same = (both**2).sum(axis=(2, 3)) - places  # ordered pairs of places that are together in both frames
    first = (both.sum(axis=3) ** 2).sum(axis=2) - places
    second = (both.sum(axis=2) ** 2).sum(axis=2) - places
    expected = first * second / max(places * (places - 1), 1)
    most = (first + second) / 2
    # no pair, or all of them, together in both frames: the same parts
    return np.divide(same - expected, most - expected, out=np.ones_like(same), where=most != expected)


def _components(features: Float[np.ndarray, "F C H W"]) -> Float[np.ndarray, "F H W 3"]:
    from sklearn.decomposition import PCA

    count, channels, height, width = features.shape
    flat = features.transpose(0, 2, 3, 1).reshape(-1, channels).astype(np.float32)
    return PCA(COMPONENTS, random_state=0).fit_transform(flat).reshape(count, height, width, COMPONENTS)


def _colours(values: Float[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    low, high = values.min(), values.max()
    return ((values - low) / max(high - low, 1e-12) * 255).astype(np.uint8)


def _k_means(values: Float[np.ndarray, "F H W 3"] | UInt8[np.ndarray, "F H W 3"]) -> Integer[np.ndarray, "F H W"]:
    from sklearn.cluster import KMeans

    k_means = KMeans(CLUSTERS, n_init=STARTS, random_state=0)
    return k_means.fit_predict(values.reshape(-1, COMPONENTS)).reshape(values.shape[:3])


def _check(features: Float[np.ndarray, "F C H W"], *, least: int) -> None:
    if min(features.shape[1], least) < COMPONENTS:
        raise DataError(
            f"{features.shape[1]} channels in {least} places have no {COMPONENTS} components; give as many of each"
        )
    if not np.isfinite(features).all():
        raise DataError("features hold NaN or infinite values; compute them in float32 or bfloat16")


def _check_frames(labels: Integer[np.ndarray, "F H W"]) -> int:
    if len(labels) < 2:
        raise DataError(f"{len(labels)} frames have no next one; give at least 2")
    return len(labels)
