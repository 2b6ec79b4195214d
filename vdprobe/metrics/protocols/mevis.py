"""`mevis`: an expression means any number of objects, or, in the second version, none (MeViS, tools/eval_mevis.py)."""

from collections.abc import Sequence

import numpy as np

from vdprobe.metrics.protocols.protocol import Protocol
from vdprobe.metrics.protocols.samples import MaskSample
from vdprobe.metrics.protocols.tracks import EMPTY, EXTRA, MISSING, Track, mean_scores, score_expression


def sum_up(tracks: Sequence[Track]) -> dict[str, float]:
    """J, F and J&F; with expressions of both kinds also N-acc, T-acc and Final.

    - N-acc: share of the expressions without a target for which nothing was marked in any frame.
    - T-acc: share of those with a target for which something was.
    - Final: mean of J&F, N-acc and T-acc.
    """
    scores = mean_scores(tracks)
    targets = [track for track in tracks if track.truth_area.any()]
    others = [track for track in tracks if not track.truth_area.any()]
    if targets and others:
        scores["N-acc"] = float(np.mean([not track.area.any() and not track.missing.any() for track in others]))
        scores["T-acc"] = float(np.mean([track.area.any() for track in targets]))
        scores["Final"] = (scores["J&F"] + scores["N-acc"] + scores["T-acc"]) / 3
    return scores


PROTOCOL = Protocol(
    "mevis",
    MaskSample,
    score_expression,
    sum_up,
    {
        "frames": "all",
        "mean": "over the frames of an expression, then over all expressions, with a target or without",
        "objects": "all that an expression means make one mask; not 0 is foreground",
        "void": "none",
        "empty": f"{EMPTY}; an expression is without a target where its truth is empty in every frame",
        "missing": f"{MISSING}, and is no answer to an expression without a target",
        "extra": EXTRA,
    },
)
