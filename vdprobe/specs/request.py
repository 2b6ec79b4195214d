"""`FeatureRequest`: what is asked of a model, before the model says which computations that makes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vdprobe.specs.features import ComputeDtype, ConditionKind, NoiseKind, StoreDtype
from vdprobe.specs.lighting import Lighting
from vdprobe.specs.video import ClipSampling, Resize

LatentFrames = Literal["native", "frame-as-latent"]


@dataclass(frozen=True, kw_only=True)
class FeatureRequest:
    """A grid of conditions, noises and timesteps at some taps; the fields are those of `ExtractConfig`.

    - `taps`: None for the model's own choice.
    - `latent_frames`: `native`, as the VAE compresses time; or `frame-as-latent`, each frame encoded alone.
    - `settings`: what else a family can be asked, by name.
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
    inversion_steps: int = 50
    latent_frames: LatentFrames = "native"
    settings: Mapping[str, Any] = field(default_factory=dict)
