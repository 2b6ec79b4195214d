"""`FeatureRequest`: what is asked of a model, before the model says which computations that makes."""

from dataclasses import dataclass
from typing import Literal

from vdprobe.specs.features import ComputeDtype, ConditionKind, NoiseKind, StoreDtype
from vdprobe.specs.lighting import Lighting
from vdprobe.specs.video import ClipSampling, Resize


@dataclass(frozen=True, kw_only=True)
class FeatureRequest:
    """A grid of conditions, noises and timesteps at some taps; the fields are those of `ExtractConfig`.

    - `taps`: None for the model's own choice.
    """

    clips: ClipSampling
    resize: Resize
    lighting: Lighting | None
    taps: tuple[str, ...] | None
    conditions: tuple[ConditionKind, ...]
    noises: tuple[NoiseKind, ...]
    timesteps: tuple[int | float | str, ...]
    latents: Literal["sample", "mode"]
    seed: int
    compute_dtype: ComputeDtype
    store_dtype: StoreDtype
