"""What a user asks of a prediction."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vdprobe.data.layouts import Layout
from vdprobe.data.sources import find_layout
from vdprobe.errors import ConfigError
from vdprobe.extraction.config import ExtractConfig
from vdprobe.head.words import TextCase
from vdprobe.models.unet3d.taps import VDIT_LEVELS
from vdprobe.specs.load import build, merge
from vdprobe.specs.spans import USUAL_RULE, FrameRule
from vdprobe.studies.predict.head_folder import HeadFolder
from vdprobe.studies.predict.mask_files import IN_FRAMES, OF_LAYOUTS, Benchmark
from vdprobe.studies.predict.official import official_manner, official_options
from vdprobe.training.cached_clips import Levels


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """Videos, the features that the head reads of them, and what the masks are for.

    - `features`: of one condition and one noise, in windows that together are the whole video; for benchmarks that
      score single frames also in clips that are centred on them.
    - `timestep`, `levels`, `frame_rule`, `words`, `text_case`: as in the training of the head.
    - `benchmark`: decides where masks lie and what they are; None takes that of the videos' layout.
    - `query`: one for the whole `video`, as official inference_ytvos.py takes it, or one for each `clip`, as
      official inference_davis.py does for each of its windows of 36 frames.
    - `threshold`: of the probability (the sigmoid of a logit) above which a pixel is the object's (official
      opts.py:137). There it is for Ref-YouTube-VOS, A2D, JHMDB and RefCOCO alone, and DAVIS always has 0.5; here it
      is for all.
    """

    features: ExtractConfig
    timestep: int | float | str | None = None
    levels: Levels = VDIT_LEVELS
    frame_rule: FrameRule = USUAL_RULE
    words: str = "pipeline"
    benchmark: Benchmark | None = None
    query: Literal["video", "clip"] = "video"
    text_case: TextCase = "lower"
    threshold: float = 0.5

    def __post_init__(self) -> None:
        clips = self.features.clips
        if clips.kind not in ("windows", "centred") or clips.overlap:
            raise ConfigError(
                f"every frame gets one mask, which clips of kind '{clips.kind}' with an overlap of {clips.overlap} do "
                "not give: set features.clips.kind=windows and features.clips.overlap=0"
            )
        if self.frame_rule == "ends":
            raise ConfigError(
                "every frame gets one mask, and by frame_rule 'ends' only the last of each span has features: set "
                "frame_rule=nearest or frame_rule=linear"
            )
        if self.features.resize.flip:
            raise ConfigError("masks of mirrored videos fit no video: set features.resize.flip=false")
        if not 0 < self.threshold < 1:
            raise ConfigError(f"threshold (={self.threshold}) is of a probability: above 0 and below 1")

    @property
    def least_logit(self) -> float:
        """The logit of the threshold: a pixel is the object's where its logit is higher."""
        return math.log(self.threshold / (1 - self.threshold))


def parse_predict_config(values: Mapping[str, Any], found: HeadFolder) -> PredictConfig:
    """A checked configuration from nested plain values.

    The rest is as the head was trained, or of an imported head as the official code does with such videos. Raises
    `ConfigError`, and `DataError` as `find_layout` does.
    """
    asked = merge(found.defaults, values)
    config = build(PredictConfig, asked)
    if found.imported:
        return build(PredictConfig, merge(official_options(find_manner(config)), asked))
    if found.centred is not None and find_benchmark(config) in IN_FRAMES:
        return build(PredictConfig, merge({"features": {"clips": found.centred}}, asked))
    return config


def find_benchmark(config: PredictConfig) -> Benchmark:
    """What is asked for, or what fits the layout of the videos; raises `DataError` as `find_layout` does."""
    return config.benchmark or OF_LAYOUTS.get(_layout(config), "plain")


def find_manner(config: PredictConfig) -> Benchmark:
    """The benchmark whose official script such videos are for; raises `DataError` as `find_layout` does."""
    return official_manner(_layout(config), config.benchmark)


def _layout(config: PredictConfig) -> Layout:
    videos = config.features.videos
    return find_layout(Path(videos.path).expanduser(), videos.layout)
