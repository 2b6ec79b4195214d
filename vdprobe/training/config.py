"""What a user asks of the training of one adapter."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vdprobe.errors import ConfigError
from vdprobe.specs.features import ConditionKind, NoiseKind
from vdprobe.specs.load import build, merge
from vdprobe.specs.video import ClipSampling, Resize

FRAMES = 5
"""Of a training clip, as in VD-IT."""


@dataclass(frozen=True, kw_only=True)
class FrozenModelConfig:
    """The frozen model, as in an extraction; it computes in float32."""

    pipeline: str
    image_encoder: str | None = None
    device: str = "auto"


@dataclass(frozen=True, kw_only=True)
class MaskedVideosConfig:
    """A dataset with masks, in the layout of Ref-YouTube-VOS or Ref-DAVIS17.

    - `val_split`: measured, never trained on; None measures nothing.
    """

    path: str
    split: str = "train"
    val_split: str | None = None


@dataclass(frozen=True, kw_only=True)
class AdapterTrainingConfig:
    """One training. A batch is `batch_size` clips with one expression each.

    - `clips`: a clip is drawn from those that an extraction with this sampling would have.
    - `condition`, `noise`: what the adapter is for; they decide which of its parts are trained.
    - `seed`: of every draw; validation draws noise and posterior from it as an extraction does.
    - `head_rate`, `adapter_rate`: AdamW's rates, after a linear rise over the share `warmup` of the
      steps; they fall to 0 along a cosine. With `weight_decay` and `clip_norm` as in VD-IT.
    - `validate_every`: steps between measurements of J, on `val_clips` clips.
    """

    model: FrozenModelConfig
    videos: MaskedVideosConfig
    steps: int
    clips: ClipSampling = field(default_factory=lambda: ClipSampling(frames=FRAMES))
    resize: Resize = field(default_factory=Resize)
    condition: ConditionKind = "vd-it"
    noise: NoiseKind = "predicted"
    timestep: int | float | str = 0
    latents: Literal["sample", "mode"] = "sample"
    seed: int = 0
    batch_size: int = 4
    head_rate: float = 1e-4
    adapter_rate: float = 5e-5
    warmup: float = 0.05
    weight_decay: float = 5e-4
    clip_norm: float = 0.1
    validate_every: int = 100
    val_clips: int = 16

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "validate_every", "val_clips"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} (={getattr(self, name)}) must be at least 1")
        for name in ("seed", "head_rate", "adapter_rate", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} (={getattr(self, name)}) must be at least 0")
        if not self.clip_norm > 0:
            raise ConfigError(f"clip_norm (={self.clip_norm}) must be above 0")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"warmup (={self.warmup}) is a share of the steps: at least 0 and below 1")
        if self.clips.kind == "centred":
            raise ConfigError(
                "an adapter is trained on videos with masks in all frames: clips cannot be 'centred' on one"
            )
        if self.resize.flip:
            raise ConfigError("an adapter is trained on videos and texts as they are: set resize.flip=false")


def parse_training_config(values: Mapping[str, Any]) -> AdapterTrainingConfig:
    """A checked configuration from nested plain values; raises `ConfigError`.

    Clips that do not say how many frames they have get `FRAMES`, not an extraction's 36.
    """
    return build(AdapterTrainingConfig, merge({"clips": {"frames": FRAMES}}, values))
