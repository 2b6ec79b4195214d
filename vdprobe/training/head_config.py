"""What a user asks of the training of a head."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from vdprobe.data.layouts import DATASETS
from vdprobe.data.sources import find_layout
from vdprobe.errors import ConfigError, DataError
from vdprobe.extraction.config import ExtractConfig
from vdprobe.head.config import HeadSizes
from vdprobe.head.words import OWN, TextCase
from vdprobe.models.unet3d.taps import VDIT_LEVELS
from vdprobe.specs.lighting import Lighting
from vdprobe.specs.load import build, merge, parse_assignments, read_yaml
from vdprobe.specs.spans import USUAL_RULE, FrameRule
from vdprobe.specs.video import ClipSampling
from vdprobe.training.cached_clips import Levels
from vdprobe.training.head_start import sizes_of


@dataclass(frozen=True, kw_only=True)
class View:
    """Another look at the same clips: mirrored, of another size, in another light, or all of it.

    None leaves it as in the features. The light of a view is drawn once for each frame, as `Lighting` says: several
    lights are several views, of other seeds.
    """

    flip: bool | None = None
    short_side: int | None = None
    lighting: Lighting | None = None

    def __post_init__(self) -> None:
        if self.flip is None and self.short_side is None and self.lighting is None:
            raise ConfigError(
                "a view is the same as the features; give it flip: true, another short_side, a lighting, or all of it"
            )

    def of(self, features: ExtractConfig) -> ExtractConfig:
        """The extraction of this view."""
        changes: dict[str, Any] = {"flip": self.flip, "short_side": self.short_side}
        resize = replace(features.resize, **{name: value for name, value in changes.items() if value is not None})
        return replace(features, resize=resize, lighting=self.lighting or features.lighting)


@dataclass(frozen=True, kw_only=True)
class HeadTrainingConfig:
    """One training. A step is `batch_size` clips, over all processes, each with one expression.

    Defaults are those of the official code (README and opts.py of VD-IT, two GPUs with a clip each), which trains
    Ref-YouTube-VOS for 9 epochs.

    - `features`: of the videos to train on; `model.device` is also where the head is trained.
    - `views`: further extractions of the same clips; every sample draws one of them or `features`, each as likely.
    - `start`: a folder of `train-head` or `import-official`, whose head the training begins with, but for its scores,
      which begin anew; None for an untrained one. The sizes in `head` are then those of that head. The official code
      halves its rates where it does so: 2.5e-5 with two GPUs.
    - `val_split`: of the same dataset, measured and never trained on; it chooses `best`. What `features.videos` says
      of `limit` and of texts holds for it too: with `texts_per_object: 1` its scores are of first texts alone.
    - `timestep`: one of the features' timesteps, as they are written there; None where there is one.
    - `words`: the head's text encoder: `pipeline` for the T2V model's own, or the folder or Hugging Face id
      of another, such as the official `roberta-base`. `text_case`: how it gets the texts; officially in lower case.
    - `levels`: the taps of each of the four levels, at strides 4, 8, 16, 32.
    - `frame_rule`: what the features of a frame are where the maps of a tap stand for several frames, see `FrameRule`;
      with `ends` a clip has only the frames that have features in all levels, and so have its masks.
    - `frames`: of a clip, consecutive ones of a cached clip; None takes all of it.
    - `reverse`: the share of clips that the head sees backwards.
    - `rate`, `neck_rate`: AdamW's, of the head and of its neck (part of the official `backbone`); at each of
      the shares `drops` of the steps they fall to a tenth.
    - `precision`: what the head computes in, its weights stay in float32.
    - `val_every`: steps between validations; the last step is validated too.
    - `workers`: processes that read features, for each process that trains; 0 reads between the steps.

    The official training changes every clip that it draws. What a cache can give of that are `views`: half of the
    clips mirrored (`flip: true`), sizes (short sides of 288, 320, 352, 392, 416, 448, 480 and 512; all of them, upright
    and mirrored, are 16 extractions), lights (`lighting`, in place of its brightness, contrast, saturation and shuffled
    colours, which it draws anew for every frame), and with `features.clips` of kind `vdit` its choice of frames, of
    which there are then `clips.clips` for each video. What it cannot give: crops at random (384 to 600 pixels of a
    clip that was resized to 400, 500 or 600, half of the time), a fresh draw of the noise and of the VAE's posterior
    for every step, and the dropout of 0.1 that `model.train()` (engine.py:128) switches on in the UNet's temporal
    convolutions and in RoBERTa. Cached features are without dropout: the same in training as when masks are predicted.
    """

    features: ExtractConfig
    steps: int
    start: str | None = None
    views: tuple[View, ...] = ()
    val_split: str | None = None
    timestep: int | float | str | None = None
    words: str = OWN
    text_case: TextCase = "lower"
    levels: Levels = VDIT_LEVELS
    frame_rule: FrameRule = USUAL_RULE
    head: HeadSizes = field(default_factory=HeadSizes)
    batch_size: int = 2
    frames: int | None = 5
    reverse: float = 0.3
    rate: float = 5e-5
    neck_rate: float = 5e-5
    weight_decay: float = 5e-4
    clip_norm: float = 0.1
    drops: tuple[float, ...] = (6 / 9, 8 / 9)
    seed: int = 42
    precision: Literal["no", "bf16", "fp16"] = "no"
    val_every: int = 1000
    workers: int = 2

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "val_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} (={getattr(self, name)}) must be at least 1")
        if self.frames is not None and self.frames < 1:
            raise ConfigError(f"frames (={self.frames}) must be at least 1, or null for whole clips")
        for name in ("seed", "rate", "neck_rate", "weight_decay", "workers"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} (={getattr(self, name)}) must be at least 0")
        if not self.clip_norm > 0:
            raise ConfigError(f"clip_norm (={self.clip_norm}) must be above 0")
        if not 0 <= self.reverse <= 1:
            raise ConfigError(f"reverse (={self.reverse}) is a share of the clips: from 0 to 1")
        if self.val_split == self.features.videos.split:
            raise ConfigError(f"val_split (={self.val_split}) is what is trained on; name another split, or null")
        for share in self.drops:
            if not 0 < share <= 1:
                raise ConfigError(f"drops (={self.drops}) are shares of the steps: above 0 and at most 1")
        if len({(view.resize, view.lighting) for view in self.all_views}) <= len(self.views):
            raise ConfigError("two views are of the same frames, or one is of the same as the features; leave it out")

    @property
    def all_views(self) -> tuple[ExtractConfig, ...]:
        """The extractions that clips are drawn from, `features` first."""
        return self.features, *(view.of(self.features) for view in self.views)

    @property
    def validation(self) -> ExtractConfig | None:
        """The extraction that is measured, None without a `val_split`.

        Of all its videos, whatever `only` names of the others, in the clips of `features` where those are windows or
        centred and else whole, in the official windows; and not mirrored.
        """
        if self.val_split is None:
            return None
        features = self.features
        return replace(
            features,
            videos=replace(features.videos, split=self.val_split, only=()),
            clips=features.clips if features.clips.kind in ("windows", "centred") else ClipSampling(),
            resize=replace(features.resize, flip=False),
        )


def parse_head_config(values: Mapping[str, Any]) -> HeadTrainingConfig:
    """A checked configuration from nested plain values, in which a `start` says how large the head is.

    Raises `ConfigError`, and `ModelError` for a `start` without a head.
    """
    features = values.get("features")
    videos = features.get("videos") if isinstance(features, Mapping) else None
    start = values.get("start")
    if isinstance(start, str):
        values = merge({"head": sizes_of(start)}, values)
    config = build(HeadTrainingConfig, values)
    if has_splits(config.features) and isinstance(videos, Mapping) and "split" not in videos:
        raise ConfigError("nothing says which split to train on: give features.videos.split, such as train")
    if config.val_split is not None and not has_splits(config.features):
        raise ConfigError(f"{config.features.videos.path} has no splits; set val_split to null, or give a dataset")
    return config


def has_splits(features: ExtractConfig) -> bool:
    """Whether the videos are a dataset's. Raises `DataError` where they are not there, or it is not clear."""
    path = Path(features.videos.path).expanduser()
    if not path.exists():
        raise DataError(f"there is no {path}; give a dataset with masks")
    return find_layout(path, features.videos.layout) in DATASETS


def read_head_config(
    path: Path,
    assignments: Iterable[str] = (),
    *,
    device: str | None = None,
    verify: bool | None = None,
    start: Path | None = None,
) -> HeadTrainingConfig:
    """The configuration in a YAML file with changes such as `steps=100`, which win over all else.

    - `device`: another device than the file's. `verify`: whether features are compared with their checksums, if it
      is not as in the file. `start`: another head to start from.

    Its `features` may be the path of a file as `vdprobe extract` takes it, relative to this one. Raises
    `ConfigError`.
    """
    values = read_yaml(path)
    if isinstance(values.get("features"), str):
        values["features"] = read_yaml(path.parent / Path(values["features"]).expanduser())
    if device is not None:
        values = merge(values, {"features": {"model": {"device": device}}})
    if verify is not None:
        values = merge(values, {"features": {"store": {"verify": verify}}})
    if start is not None:
        values = merge(values, {"start": str(start)})
    return parse_head_config(merge(values, parse_assignments(assignments)))
