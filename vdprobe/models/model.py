"""What an extraction asks of a frozen model, whatever it is: its specs, and what it makes of a clip's frames.

A model gets plain values and returns what it found; it knows neither plans nor reports. Nothing here imports torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from vdprobe.data.resize import PreparedFrames
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import FeatureSpec, Item, Timestep
from vdprobe.specs.layer import Layer, Shape, TapPlace
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.request import FeatureRequest

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Note:
    """A fact about features that their reader should know, and the clip, video or model it holds for."""

    fact: str
    where: str


@runtime_checkable
class Model(Protocol):
    """A model that is found but not loaded."""

    @property
    def name(self) -> str:
        """The name that the user gave; an id includes its resolved revision."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is done to every clip and a reader of the features should know."""

    def specs(self, request: FeatureRequest) -> tuple[FeatureSpec, ...]:
        """The specs of an extraction; what depends on the frames alone comes first."""

    def levels(self, timesteps: Iterable[int | float | str]) -> tuple[NoiseLevel, ...]:
        """Timesteps in all units; none for a model that knows no noise."""

    def frame_group(self, request: FeatureRequest) -> int:
        """The frames that a latent frame after the first stands for; 1 where each frame has its own."""

    def layers(self, *, frames: int, height: int, width: int, every_step: bool = False) -> list[Layer]:
        """Every tap of a clip whose padded frames have `height` x `width` pixels, in order of computation.

        - `every_step`: also the layers inside the blocks, where there are any.
        """

    def shapes(self, taps: Sequence[str], *, frames: int, height: int, width: int) -> dict[str, Shape]:
        """The shape of each tap."""

    def load(self, specs: Sequence[FeatureSpec], device: str, *, compiled: bool = False) -> "LoadedModel":
        """The model with the weights that `specs` need, and no more.

        - `device`: `cpu`, `cuda`, `cuda:1`, ... or `auto`. `compiled`: run networks through `torch.compile`.
        """


@runtime_checkable
class LoadedModel(Protocol):
    """A model with its weights."""

    @property
    def device(self) -> "torch.device":
        """Where it computes."""

    def encode(self, clip: Clip, prepared: PreparedFrames, specs: Iterable[FeatureSpec]) -> "EncodedClip":
        """What the features of a clip under `specs` have in common, made once."""


@runtime_checkable
class EncodedClip(Protocol):
    """A clip on its way through a model."""

    def features(self, spec: FeatureSpec, items: Sequence[Item], timestep: Timestep | None) -> "Mapping[str, Tensor]":
        """Taps of `spec`, each (item, map, channel, height, width); `timestep` is None where the spec has none."""

    def place(self, tap: str, shape: Shape) -> TapPlace:
        """Where the maps of a tap lie whose features of an item have this `shape`; as many spans as there are maps."""

    def attrs(self, spec: FeatureSpec, item: Item) -> dict[str, Any]:
        """What a reader of the item should know beside sizes."""

    def notes(self, spec: FeatureSpec, item: Item) -> tuple[Note, ...]:
        """What the user of the run should know of the item."""
