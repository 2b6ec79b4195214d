"""What a user asks of a prediction."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vdprobe.data.sources import find_layout
from vdprobe.diffusion.taps import VDIT_LEVELS
from vdprobe.errors import ConfigError
from vdprobe.extraction.config import ExtractConfig
from vdprobe.specs.load import build, merge
from vdprobe.studies.predict.head_folder import HeadFolder
from vdprobe.studies.predict.mask_files import OF_LAYOUTS, Benchmark
from vdprobe.training.cached_clips import Levels


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """Videos, the features that the head reads of them, and what the masks are for.

    - `features`: of one condition and one noise, in windows that together are the whole video.
    - `timestep`, `levels`, `words`: as in the training of the head.
    - `benchmark`: decides where masks lie and what they are; None takes that of the videos' layout.
    - `query`: one for the whole `video`, as official inference_ytvos.py takes it, or one for each `clip`, as
      official inference_davis.py does for each of its windows of 36 frames.
    """

    features: ExtractConfig
    timestep: int | str | None = None
    levels: Levels = VDIT_LEVELS
    words: str = "pipeline"
    benchmark: Benchmark | None = None
    query: Literal["video", "clip"] = "video"

    def __post_init__(self) -> None:
        clips = self.features.clips
        if clips.kind != "windows" or clips.overlap:
            raise ConfigError(
                f"every frame gets one mask, which clips of kind '{clips.kind}' with an overlap of {clips.overlap} do "
                "not give: set features.clips.kind=windows and features.clips.overlap=0"
            )
        if self.features.resize.flip:
            raise ConfigError("masks of mirrored videos fit no video: set features.resize.flip=false")


def parse_predict_config(values: Mapping[str, Any], found: HeadFolder) -> PredictConfig:
    """A checked configuration from nested plain values, the rest as the head was trained. Raises `ConfigError`."""
    return build(PredictConfig, merge(found.defaults, values))


def find_benchmark(config: PredictConfig) -> Benchmark:
    """What is asked for, or what fits the layout of the videos; raises `DataError` as `find_layout` does."""
    videos = config.features.videos
    layout = find_layout(Path(videos.path).expanduser(), videos.layout)
    return config.benchmark or OF_LAYOUTS.get(layout, "plain")
