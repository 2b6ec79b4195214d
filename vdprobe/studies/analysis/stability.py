"""Do masks flicker? How much their IoU changes from frame to frame (Table E of VD-IT), from predictions on disk.

The paper names the quantity and not its formula, so that ours is inferred; see `analyses.stability`. Predictions take
the place of backbones; the columns that name a condition or a tap hold `-`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64

from vdprobe.analyses.stability import GAPS, mean_difference
from vdprobe.data.masks import read_object_mask
from vdprobe.data.video import Failure, Video
from vdprobe.errors import ConfigError, VdprobeError
from vdprobe.extraction.config import VideoConfig
from vdprobe.figures.bars import draw_dots
from vdprobe.metrics.region import region_similarity
from vdprobe.studies.analysis.analysis import Analysis, Direct, Rows
from vdprobe.studies.analysis.cells import CELL, NONE
from vdprobe.studies.analysis.config import Shown
from vdprobe.studies.analysis.mask_ious import find_root, masked_videos, read_ious
from vdprobe.studies.analysis.parts import Part
from vdprobe.studies.analysis.statistics import video_values
from vdprobe.studies.analysis.tables import Tables
from vdprobe.studies.processes import spread

KEYS = ("measure",)
IOU = "IoU"
CONTROLS = ("whole frame", "first mask, kept")
"""Masks that know nothing of later frames: all of every frame, and the true mask of the first one that has any."""
CHUNK = 4
"""Videos that a process takes at a time: it opens a zip once for them."""


@dataclass(frozen=True, kw_only=True)
class StabilityConfig:
    """Predictions to compare.

    - `predictions`: name to a folder or zip of `<video>/<expression>/<frame>.png`, as `vdprobe predict` writes them.
    - `videos`: a dataset with masks.
    - `gaps`: in frames.
    - `shown`: as in all analyses; masks have no taps or timesteps to choose from.
    """

    predictions: Mapping[str, str]
    videos: VideoConfig
    gaps: tuple[int, ...] = GAPS
    shown: Shown = field(default_factory=lambda: Shown())

    def __post_init__(self) -> None:
        if not self.predictions:
            raise ConfigError("predictions is empty; give at least one name with a folder or zip of masks")
        for name in CONTROLS:
            if name in self.predictions:
                raise ConfigError(f"predictions are called '{name}', as a control is; give them another name")
        if min(self.gaps, default=0) < 1 or len(set(self.gaps)) < len(self.gaps):
            raise ConfigError(f"gaps (={list(self.gaps)}) must be different numbers of frames, each at least 1")


def parts(config: StabilityConfig, workers: int, on_progress: Callable[[str, int, int], None] | None) -> Iterator[Part]:
    """The values of each video under each name, and of the controls. Masks are read again by every call.

    Raises `DataError` for predictions that are not there.
    """
    videos, failures = masked_videos(config.videos)
    yield pd.DataFrame(), failures
    kinds: dict[str, Callable[[list[Video]], Rows]]
    paths = {name: Path(path).expanduser() for name, path in config.predictions.items()}
    kinds = {name: partial(_predicted, config, name, path, find_root(path, videos)) for name, path in paths.items()}
    kinds["controls"] = partial(_controls, config)
    for name, kind in kinds.items():
        tell = None if on_progress is None else partial(on_progress, name)
        for rows, lacks in spread(kind, videos, chunk=CHUNK, workers=workers, on_progress=tell):
            yield video_values(rows, KEYS), lacks


def draw(tables: Tables, config: StabilityConfig, folder: Path) -> list[Path]:
    """The change of IoU over each gap, and beside it the IoU itself."""
    table = tables.summary[tables.summary["count"] > 1]
    table = table.assign(group=table["backbone"], label=table["measure"])
    changes, whole = table[table["measure"] != IOU], table[table["measure"] == IOU]
    paths = []
    if len(changes):
        paths.append(folder / "stability.pdf")
        draw_dots(
            changes.assign(label=changes["label"].str.removeprefix("change ")),
            paths[-1],
            axis="change of IoU (points of 100)",
            caption="How much the IoU of predicted masks changes from frame to frame: mean of |IoU(t) - IoU(t + gap)| "
            "x 100 over a video; lower is steadier. Masks that are always empty, or always equally bad, do not change "
            "at all: see their IoU.",
        )
    paths.append(folder / "stability-iou.pdf")
    draw_dots(
        whole,
        paths[-1],
        axis="IoU (points of 100, higher is better)",
        caption="Mean over the frames of a video of the IoU of predicted masks.",
    )
    return paths


def _predicted(config: StabilityConfig, name: str, path: Path, root: str, videos: list[Video]) -> Rows:
    found, failures = read_ious(path, root, videos)
    rows = [row for one in found for row in _rows(config, name, False, one.video, one.iou)]
    return rows, [Failure(f"{name}, {failure.where}", failure.error) for failure in failures]


def _controls(config: StabilityConfig, videos: list[Video]) -> Rows:
    found: list[dict[str, Any]] = []
    for video in videos:
        assert video.frame_names is not None
        for expression in video.expressions:
            try:
                truth = read_object_mask(video, expression.object_ids or (), range(len(video.frame_names)))
            except VdprobeError:
                continue  # said with the predictions of it
            kept = np.broadcast_to(truth[truth.any(axis=(1, 2)).argmax()], truth.shape)
            for name, prediction in zip(CONTROLS, (np.ones_like(truth), kept), strict=True):
                found += _rows(config, name, True, video.id, region_similarity(prediction, truth))
    return found, []


def _rows(
    config: StabilityConfig, name: str, control: bool, video: str, iou: Float64[np.ndarray, " T"]
) -> Iterator[dict[str, Any]]:
    """IoU, and its change over each gap, nan for a gap longer than the video; in points of 100."""
    values = {measure_of(gap): mean_difference(iou, gap) if gap < len(iou) else np.nan for gap in config.gaps}
    names = dict.fromkeys(CELL, NONE) | {"backbone": name, "control": control, "seed": 0, "video": video}
    for measure, value in {**values, IOU: 100 * float(iou.mean())}.items():
        yield names | {"measure": measure, "value": value}


def measure_of(gap: int) -> str:
    """The name of a change in tables: `change over 5 frames`."""
    return f"change over {gap} frame{'s' if gap > 1 else ''}"


STABILITY = Analysis(
    name="stability",
    config=StabilityConfig,
    keys=KEYS,
    factors=("backbone",),
    measure=Direct(parts),
    draw=draw,
    needs="a mask in every frame, true and predicted",
)
