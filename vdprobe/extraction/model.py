"""What an extraction asks of a frozen model, whatever it is: its specs, and what it makes of a clip's frames.

Nothing here imports torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from vdprobe.data.resize import PreparedFrames
from vdprobe.diffusion.schedule import NoiseLevel
from vdprobe.extraction.config import ExtractConfig
from vdprobe.specs.features import FeatureSpec, Item
from vdprobe.specs.layer import Layer, Shape

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vdprobe.extraction.plan import ClipWork, Plan
    from vdprobe.extraction.run import Report


@runtime_checkable
class Model(Protocol):
    """A model that is found but not loaded."""

    @property
    def name(self) -> str:
        """As the user gave it; an id includes its resolved revision."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is done to every clip and a reader of the features should know."""

    def specs(self, config: ExtractConfig) -> tuple[FeatureSpec, ...]:
        """The specs of an extraction; what depends on the frames alone comes first."""

    def levels(self, timesteps: Iterable[int | str]) -> tuple[NoiseLevel, ...]:
        """Timesteps in all three units; none for a model that knows no noise."""

    def layers(self, *, frames: int, height: int, width: int, every_step: bool = False) -> list[Layer]:
        """Every tap of a clip whose padded frames have `height` x `width` pixels, in order of computation.

        - `every_step`: also the layers inside the blocks, where there are any.
        """

    def shapes(self, taps: Sequence[str], *, frames: int, height: int, width: int) -> dict[str, Shape]:
        """The shape of each tap."""

    def load(self, plan: "Plan") -> "LoadedModel":
        """With what the specs of the plan need, and no more."""


@runtime_checkable
class LoadedModel(Protocol):
    """A model with its weights."""

    @property
    def device(self) -> "torch.device":
        """Where it computes."""

    def encode(
        self, clip: "ClipWork", prepared: PreparedFrames, specs: Iterable[FeatureSpec], report: "Report"
    ) -> "EncodedClip":
        """What the features of a clip under `specs` have in common, made once; notes go into the report."""


@runtime_checkable
class EncodedClip(Protocol):
    """A clip on its way through a model."""

    def features(self, spec: FeatureSpec, items: Sequence[Item], timestep: int | None) -> "Mapping[str, Tensor]":
        """Taps of `spec`, each (item, frame, channel, height, width); `timestep` is None where the spec has none."""

    def stride(self, tap: str, rows: int) -> int:
        """Pixels of the resized frames per place of a map with that many `rows`."""

    def attrs(self, spec: FeatureSpec, item: Item) -> dict[str, Any]:
        """What a reader of the item should know beside sizes."""
