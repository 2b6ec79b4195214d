"""Linear probes: what a layer's features tell, place by place, to a reader that has only weights and a sum.

Folds never share a video: within a video features resemble each other for reasons of their own, and a probe
that has seen some places of a video knows others by that alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64, Integer

from vdprobe.analyses.roi import area_shares
from vdprobe.errors import DataError
from vdprobe.specs.draws import draw_digest


@dataclass(frozen=True, eq=False)
class VideoCells:
    """Some cells of a clip, and the class of each."""

    video: str
    features: Float32[np.ndarray, "n C"]
    classes: Int64[np.ndarray, " n"]


@dataclass(frozen=True)
class ProbeRow:
    """How a probe did on the cells of one video, having seen none of them.

    - `control`: whether classes had been dealt out anew among all cells, to train and to test.
    - `accuracy`: balanced: the mean over the video's classes of the share that is found.
    - `auc`: area under the ROC curve, the mean over classes, each against the rest; nan in a video of one class.
    """

    video: str
    control: bool
    cells: int
    accuracy: float
    auc: float


@dataclass(frozen=True)
class ProbeScores:
    """Of one probe: over all cells, and of each video for intervals.

    A video that shows some of the classes alone counts them alone: its mean over videos and the value over all
    cells then differ, and a probe that always says the same is at `chance` only in the latter.

    - `chance`: balanced accuracy of guessing, one over the number of classes. For the AUC it is 0.5.
    """

    accuracy: float
    auc: float
    control_accuracy: float
    control_auc: float
    chance: float
    rows: tuple[ProbeRow, ...]


def cell_labels(labels: Integer[np.ndarray, "F Hm Wm"], grid: tuple[int, int]) -> Int64[np.ndarray, "F H W"]:
    """The label that fills more than half of each cell, -1 where none does.

    - `labels`: cover what the grid covers; -1 for padding and for what is not known.
    - `grid`: (height, width) in cells.
    """
    cells = np.full((len(labels), *grid), -1, dtype=np.int64)
    for label in np.unique(labels):
        cells[np.stack([area_shares(frame == label, grid) for frame in labels]) > 0.5] = label
    return cells


def relabel(cells: Integer[np.ndarray, "F H W"], classes: Mapping[int, int]) -> Int64[np.ndarray, "F H W"]:
    """The class of each cell's label, -1 (left out) for labels not in `classes`.

    In a video with the objects 1 and 2, `{0: 0, 1: 1, 2: 1}` asks for object or background, `{1: 1, 2: 0}` for the
    instance that a text means, `{1: 3, 2: 0}` for an attribute of which they have the third and the first value.
    """
    out = np.full(cells.shape, -1, dtype=np.int64)
    for label, number in classes.items():
        out[cells == label] = number
    return out


def sample_cells(
    features: Float[np.ndarray, "F C H W"],
    classes: Int64[np.ndarray, "F H W"],
    video: str,
    *,
    count: int,
    seed: int = 0,
) -> VideoCells:
    """At most `count` cells of each class, drawn from (`seed`, video id) alone; -1 is no class.

    Memory: what is drawn, in float32. Equally many of each class, or a small object would hardly be seen.
    """
    rng = np.random.default_rng(list(draw_digest("cells", seed, video)))
    flat = classes.ravel()
    drawn = [rng.permutation(np.flatnonzero(flat == number))[:count] for number in np.unique(flat[flat >= 0])]
    chosen = np.sort(np.concatenate(drawn)) if drawn else np.zeros(0, dtype=np.int64)
    frame, row, column = np.unravel_index(chosen, classes.shape)
    return VideoCells(video, features[frame, :, row, column].astype(np.float32), flat[chosen])


def linear_probe(cells: Sequence[VideoCells], *, folds: int = 5, seed: int = 0) -> ProbeScores:
    """Logistic regression on standardised features, cross-validated by video, classes weighed alike.

    - `seed`: of the control's classes.

    Raises `DataError` when a feature is not finite, there are fewer than two classes or fewer videos than
    folds, or when all videos of a class fall into one fold.
    """
    features = np.concatenate([part.features for part in cells])
    classes, target = np.unique(np.concatenate([part.classes for part in cells]), return_inverse=True)
    of_cell = np.repeat([part.video for part in cells], [len(part.classes) for part in cells])
    videos, groups = np.unique(of_cell, return_inverse=True)
    if not np.isfinite(features).all():
        raise DataError("features hold NaN or infinite values; compute them in float32 or bfloat16")
    if len(classes) < 2 or len(videos) < folds:
        raise DataError(
            f"cells of {len(classes)} classes in {len(videos)} videos make no probe of {folds} folds; "
            "give 2 classes and a video for each fold"
        )
    rows: list[ProbeRow] = []
    whole = []
    for control, truth in ((False, target), (True, np.random.default_rng(seed).permutation(target))):
        scores = _unseen_scores(features, truth, groups, folds)
        for k, video in enumerate(videos):
            of_video = groups == k
            values = _accuracy(truth[of_video], scores[of_video]), _auc(truth[of_video], scores[of_video])
            rows.append(ProbeRow(str(video), control, int(of_video.sum()), *values))
        whole.append((_accuracy(truth, scores), _auc(truth, scores)))
    return ProbeScores(*whole[0], *whole[1], 1 / len(classes), tuple(rows))


def _unseen_scores(
    features: Float32[np.ndarray, "n C"], target: Int64[np.ndarray, " n"], groups: Int64[np.ndarray, " n"], folds: int
) -> Float64[np.ndarray, "n classes"]:
    """The probability of each class for each cell, from the probe that has not seen its video."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    count = target.max() + 1
    scores = np.zeros((len(target), count))
    for train, test in GroupKFold(folds).split(features, target, groups):
        if len(np.unique(target[train])) < count:
            raise DataError(
                "all videos of a class fell into one fold, so the probe cannot learn it; "
                "give more videos of each class, or more folds"
            )
        probe = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
        scores[test] = probe.fit(features[train], target[train]).predict_proba(features[test])
    return scores


def _accuracy(target: Int64[np.ndarray, " n"], scores: Float64[np.ndarray, "n classes"]) -> float:
    right: Bool[np.ndarray, " n"] = scores.argmax(axis=1) == target
    return float(np.mean([right[target == k].mean() for k in np.unique(target)]))


def _auc(target: Int64[np.ndarray, " n"], scores: Float64[np.ndarray, "n classes"]) -> float:
    """From ranks (Mann and Whitney 1947): scikit-learn's value, without its checks, which take longer than the fit."""
    from scipy.stats import rankdata

    shown = np.unique(target)
    if len(shown) < 2:
        return np.nan
    ranks = rankdata(scores, axis=0)
    values = []
    for k in shown:
        own = target == k
        count = int(own.sum())
        above = ranks[own, k].sum() - count * (count + 1) / 2  # pairs in which a place of the class scores higher
        values.append(above / (count * (len(target) - count)))
    return float(np.mean(values))
