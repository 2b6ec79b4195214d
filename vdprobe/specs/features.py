"""`FeatureSpec`: everything that determines a feature value, and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from vdprobe.specs.canonical import DESCRIPTIVE, LEFT_OUT, canonical_hash
from vdprobe.specs.lighting import Lighting, effective
from vdprobe.specs.numbers import plain_number
from vdprobe.specs.video import ClipSampling, Resize

FEATURE_VERSION = 2
"""Raised whenever the same spec of a pipeline would give other values than before.

2: the VAE's group normalisation is exact on a CPU too. Features of flat, dark and padded frames were off before, by up
to percents of their largest value, which everything computed from the latents shares.
"""
CONTROL_VERSION = 1
"""The same for pixels, vision models and Video Swin, which have no part in common with pipelines."""

ConditionKind = Literal["vd-i", "vd-t", "vd-it", "concat"]
NoiseKind = Literal["none", "gaussian", "frame-shared", "predicted", "inverted"]
ComputeDtype = Literal["float32", "float16", "bfloat16"]
StoreDtype = Literal["float32", "float16", "bfloat16", "int8"]
Timestep = int | float
"""What a model is told of the noise; some read a table at whole numbers, some a formula."""
STORED_BYTES: dict[StoreDtype, int] = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}


@dataclass(frozen=True, kw_only=True)
class ModelIdentity:
    """The frozen weights by content: the same files anywhere give the same key.

    - `name`: the Hugging Face id or folder they were read from; for the reader, not in the key.
    - `parts`: part name (`unet`, `vae`, ...; `pixels` or `vision` of a control) to the hash of its configuration
      and weights; only the parts that the features depend on.
    """

    name: str = field(metadata=DESCRIPTIVE)
    parts: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What the cross-attention sees in each frame.

    - `form`: `raw` needs nothing trained, `adapter` goes through trained modules.
    - `adapter`: hash of the adapter tensors used, None when `form` is `raw`.
    - `frame`: whose image tokens a latent frame sees that stands for several frames: those of its `last`, the newest
      that a causal VAE has seen. None where each frame has a latent of its own, or no image is used.
    """

    kind: ConditionKind
    form: Literal["raw", "adapter"]
    adapter: str | None = None
    frame: Literal["last"] | None = field(default=None, metadata=LEFT_OUT)

    @property
    def uses_text(self) -> bool:
        """Whether each expression has features of its own."""
        return self.kind != "vd-i"

    @property
    def uses_image(self) -> bool:
        """Whether the CLIP image encoder is needed."""
        return self.kind != "vd-t"


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What is added to the latents; `seed` for the drawn kinds, `adapter` for the predicted one.

    - `steps`: of the path of the inverted kind, which nothing is drawn for.
    """

    kind: NoiseKind
    seed: int | None = None
    adapter: str | None = None
    steps: int | None = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True, kw_only=True)
class LatentSampling:
    """`sample` draws from the VAE posterior as the official code does, `mode` takes its mean."""

    kind: Literal["sample", "mode"] = "sample"
    seed: int | None = 0


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """Names one computation; its `key` names the place of its values in a store.

    Taps before the UNet (the VAE's), and those of pixels and vision models, depend on the frames alone: their spec
    has `condition`, `noise` and `latents` None and no `timesteps`, so their values are stored once. `lighting` is
    None for frames as they are, and made None where its strength is 0. `settings` are what else changes the values of
    a family, by name (frames a second, padding of texts, an expert); left out where nothing does. Timesteps are the
    names of noise levels in the model's own time, whole ones as `int`: 50 and 50.0 are one computation.
    """

    model: ModelIdentity
    taps: tuple[str, ...]
    timesteps: tuple[Timestep, ...]
    condition: Condition | None
    noise: Noise | None
    latents: LatentSampling | None
    clips: ClipSampling
    resize: Resize
    compute_dtype: ComputeDtype
    store_dtype: StoreDtype
    lighting: Lighting | None = None
    settings: Mapping[str, Any] = field(default_factory=dict, metadata=LEFT_OUT)
    version: int = FEATURE_VERSION

    def __post_init__(self) -> None:
        object.__setattr__(self, "lighting", effective(self.lighting))
        object.__setattr__(self, "timesteps", tuple(plain_number(t) for t in self.timesteps))

    @cached_property
    def key(self) -> str:
        """64 hex digits: two specs share it exactly when they mean the same values."""
        return canonical_hash(self)

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def uses_text(self) -> bool:
        """Whether each text has features of its own."""
        return self.condition is not None and self.condition.uses_text

    @property
    def label(self) -> str:
        """A few words for tables and logs, such as `vd-it/gaussian`."""
        condition = self.condition.kind if self.condition else None
        return spec_label(condition, self.noise.kind if self.noise else None, self.taps)


def spec_label(condition: str | None, noise: str | None, taps: Sequence[str]) -> str:
    """`vd-it/gaussian`, or what the taps are of for a spec that has neither: `vae`, `pixels`, `vision`."""
    return f"{condition}/{noise}" if condition and noise else taps[0].partition(".")[0]


@dataclass(frozen=True, kw_only=True)
class Item:
    """One clip of one video, and the text where the condition uses it: a group of the store.

    - `video`: the video's id; the noise depends on it.
    - `digest`: hash of the video's content: other frames under the same id are another item.
    - `frames`: indices into the video, in clip order; some clips show a frame more than once.
    - `text`: the expression, None when the features do not depend on text. Expressions with the
      same text share one item.
    """

    video: str
    digest: str
    frames: tuple[int, ...]
    text: str | None

    def key(self, spec_key: str) -> str:
        """64 hex digits, unique to (spec, video, content, frames, text)."""
        return canonical_hash({"spec": spec_key, "item": self})
