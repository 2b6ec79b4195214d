"""Models whose features depend on the frames alone: pixels, vision models and Video Swin.

Conditions, noises, timesteps, latents and the seed of a request mean nothing to them and are left out of their one
spec, so that such a model can stand beside a diffusion model under one configuration. Nothing here imports torch.

Shape letters: F frames, H W height and width.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32

from vdprobe.data.resize import PreparedFrames
from vdprobe.errors import ConfigError, suggest
from vdprobe.models.model import Note
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import CONTROL_VERSION, ComputeDtype, FeatureSpec, Item, ModelIdentity, Timestep
from vdprobe.specs.layer import Layer, Shape, TapPlace
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.request import FeatureRequest
from vdprobe.specs.spans import frame_spans

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class FrameMaps(ABC):
    """A network with its weights: the feature maps of the taps that it was loaded with."""

    device: "torch.device"

    @abstractmethod
    def __call__(self, pixels: Float32[np.ndarray, "F 3 H W"]) -> "dict[str, Tensor]":
        """The map (F, channel, height, width) of each tap, of the frames of a clip in [-1, 1]."""

    @abstractmethod
    def strides(self, height: int, width: int) -> Mapping[str, int]:
        """Pixels per place of each tap, for frames of `height` x `width` pixels."""

    @abstractmethod
    def attrs(self, height: int, width: int) -> dict[str, Any]:
        """What to keep with features of such frames."""


class FrameModel(ABC):
    """A model of frames, found but not loaded; what a kind of model adds is what is abstract here.

    - `name`: as the user gave it; an id includes its resolved revision.
    """

    name: str

    @property
    @abstractmethod
    def taps(self) -> tuple[str, ...]:
        """All taps, in order of computation."""

    @property
    @abstractmethod
    def default_taps(self) -> tuple[str, ...]:
        """The taps of an extraction that names none."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is done to every clip and a reader of the features should know."""
        return ()

    @abstractmethod
    def identity(self) -> ModelIdentity:
        """The model by content."""

    @abstractmethod
    def describe(self, taps: Sequence[str], *, frames: int, height: int, width: int) -> list[Layer]:
        """`taps` of a clip whose padded frames have `height` x `width` pixels; no weights are read."""

    @abstractmethod
    def maps(self, taps: Sequence[str], dtype: ComputeDtype, device: str) -> FrameMaps:
        """The network with its weights, for `taps`."""

    def specs(self, request: FeatureRequest) -> tuple[FeatureSpec, ...]:
        """The one spec. Raises `ConfigError` for an unknown tap."""
        spec = FeatureSpec(
            model=self.identity(),
            taps=tuple(sorted(self.pick_taps(request.taps))),
            timesteps=(),
            condition=None,
            noise=None,
            latents=None,
            clips=request.clips,
            resize=request.resize,
            compute_dtype=request.compute_dtype,
            store_dtype=request.store_dtype,
            lighting=request.lighting,
            version=CONTROL_VERSION,
        )
        return (spec,)

    def pick_taps(self, names: Iterable[str] | None) -> tuple[str, ...]:
        """The taps called `names`, each once; the model's default for None.

        Raises `ConfigError` for a name that the model does not have, or when there is none.
        """
        taps = self.default_taps if names is None else tuple(dict.fromkeys(names))
        if not taps:
            raise ConfigError(f"no tap of '{self.name}' is asked for; valid: {', '.join(self.taps)}")
        for tap in taps:
            if tap not in self.taps:
                raise ConfigError(f"'{self.name}' has no tap '{tap}': {suggest(tap, self.taps)}")
        return taps

    def levels(self, timesteps: Iterable[int | float | str]) -> tuple[NoiseLevel, ...]:
        """No noise level, whatever is asked for."""
        return ()

    def frame_group(self, request: FeatureRequest) -> int:
        """Each frame has a map of its own."""
        return 1

    def layers(self, *, frames: int, height: int, width: int, every_step: bool = False) -> list[Layer]:
        """Every tap; there are no layers inside."""
        return self.describe(self.taps, frames=frames, height=height, width=width)

    def shapes(self, taps: Sequence[str], *, frames: int, height: int, width: int) -> dict[str, Shape]:
        """The shape of each tap."""
        layers = self.describe(taps, frames=frames, height=height, width=width)
        return {layer.tap: layer.shape for layer in layers}

    def load(self, specs: Sequence[FeatureSpec], device: str, *, compiled: bool = False) -> "LoadedFrameModel":
        """The model with its weights."""
        taps = tuple(dict.fromkeys(tap for spec in specs for tap in spec.taps))
        notes = tuple(Note(fact, self.name) for fact in self.notes)
        return LoadedFrameModel(self.maps(taps, specs[0].compute_dtype, device), notes)


@dataclass(frozen=True)
class LoadedFrameModel:
    """A model of frames with its weights, and what to say of all its features."""

    maps: FrameMaps
    notes: tuple[Note, ...]

    @property
    def device(self) -> "torch.device":
        """Where it computes."""
        return self.maps.device

    def encode(self, clip: Clip, prepared: PreparedFrames, specs: Iterable[FeatureSpec]) -> "FrameClip":
        """All of the work."""
        height, width = prepared.pixels.shape[2:]
        taps, strides = self.maps(prepared.pixels), self.maps.strides(height, width)
        return FrameClip(taps, strides, self.maps.attrs(height, width), self.notes)


@dataclass(frozen=True)
class FrameClip:
    """The maps of a clip."""

    taps: "Mapping[str, Tensor]"
    strides: Mapping[str, int]
    facts: dict[str, Any]
    said: tuple[Note, ...]

    def features(self, spec: FeatureSpec, items: Sequence[Item], timestep: Timestep | None) -> "Mapping[str, Tensor]":
        """The maps, of the clip's one item."""
        return {tap: self.taps[tap][None] for tap in spec.taps}

    def place(self, tap: str, shape: Shape) -> TapPlace:
        """The stride of the tap, whatever its map, and a map a frame."""
        return TapPlace(self.strides[tap], frame_spans(shape[0]))

    def attrs(self, spec: FeatureSpec, item: Item) -> dict[str, Any]:
        """What the network tells of its frames."""
        return dict(self.facts)

    def notes(self, spec: FeatureSpec, item: Item) -> tuple[Note, ...]:
        """The model's."""
        return self.said
