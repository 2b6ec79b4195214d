"""What each video adds to a mean over tracks, as the protocols of video benchmarks take it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

TRACK = ("video", "expression", "object")
"""Columns of `rows.csv` that name what the video protocols take the mean of."""


def video_shares(rows: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """A row for each video and a column for each metric, whose mean over videos is the mean over tracks.

    - `rows`: of an evaluation's `rows.csv`.

    A video weighs as much as it has tracks. What it adds to the mean (its influence) is a value that can be drawn and
    paired like any other: to first order its intervals are those of the ratio. It may lie beyond 0 and 100 %.
    """
    tracks = rows.groupby([name for name in TRACK if name in rows])[list(metrics)].mean()
    by_video, mean = tracks.groupby(level="video"), tracks.mean()
    counts = by_video.size()
    return mean + by_video.sum().sub(np.outer(counts, mean)) / counts.mean()
