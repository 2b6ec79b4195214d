"""A control as a model of an extraction: one spec, whose features depend on the frames alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vdprobe.controls.control import Control, pick_taps
from vdprobe.data.resize import PreparedFrames
from vdprobe.diffusion.schedule import NoiseLevel
from vdprobe.extraction.config import ExtractConfig
from vdprobe.specs.features import CONTROL_VERSION, FeatureSpec, Item
from vdprobe.specs.layer import Layer, Shape

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vdprobe.controls.frame_maps import FrameMaps
    from vdprobe.extraction.plan import ClipWork, Plan
    from vdprobe.extraction.run import Report


@dataclass(frozen=True)
class ControlModel:
    """Conditions, noises, timesteps, latents, seed, adapter and image encoder of a configuration mean nothing here.

    They are left out of the spec, so that a control can stand beside a model under one configuration.
    """

    control: Control

    @property
    def name(self) -> str:
        """The control's."""
        return self.control.name

    @property
    def notes(self) -> tuple[str, ...]:
        """The control's."""
        return self.control.notes

    def specs(self, config: ExtractConfig) -> tuple[FeatureSpec, ...]:
        """The one spec. Raises `ConfigError` for an unknown tap."""
        spec = FeatureSpec(
            model=self.control.identity(),
            taps=tuple(sorted(pick_taps(self.control, config.taps))),
            timesteps=(),
            condition=None,
            noise=None,
            latents=None,
            clips=config.clips,
            resize=config.resize,
            compute_dtype=config.model.dtype,
            store_dtype=config.store.dtype,
            lighting=config.lighting,
            version=CONTROL_VERSION,
        )
        return (spec,)

    def levels(self, timesteps: Iterable[int | str]) -> tuple[NoiseLevel, ...]:
        """None, whatever is asked for."""
        return ()

    def layers(self, *, frames: int, height: int, width: int, every_step: bool = False) -> list[Layer]:
        """Every tap; there are no layers inside."""
        return self.control.layers(self.control.taps, frames=frames, height=height, width=width)

    def shapes(self, taps: Sequence[str], *, frames: int, height: int, width: int) -> dict[str, Shape]:
        """The shape of each tap."""
        layers = self.control.layers(taps, frames=frames, height=height, width=width)
        return {layer.tap: layer.shape for layer in layers}

    def load(self, plan: "Plan") -> "LoadedControl":
        """With its weights."""
        from vdprobe.diffusion.backbone import DTYPES, pick_device

        config = plan.config.model
        maps = self.control.load(plan.taps, DTYPES[config.dtype], pick_device(config.device))
        return LoadedControl(self.name, self.notes, maps)


@dataclass(frozen=True)
class LoadedControl:
    """A control with its weights."""

    name: str
    notes: tuple[str, ...]
    maps: "FrameMaps"

    @property
    def device(self) -> "torch.device":
        """Where it computes."""
        return self.maps.device

    def encode(
        self, clip: "ClipWork", prepared: PreparedFrames, specs: Iterable[FeatureSpec], report: "Report"
    ) -> "ControlClip":
        """All of its work."""
        for note in self.notes:
            report.note(note, self.name)
        height, width = prepared.pixels.shape[2:]
        return ControlClip(self.maps(prepared.pixels), self.maps.strides(height, width), self.maps.attrs(height, width))


@dataclass(frozen=True)
class ControlClip:
    """The maps of a clip."""

    taps: "Mapping[str, Tensor]"
    strides: Mapping[str, int]
    facts: dict[str, Any]

    def features(self, spec: FeatureSpec, items: Sequence[Item], timestep: int | None) -> "Mapping[str, Tensor]":
        """The maps, of the clip's one item."""
        return {tap: self.taps[tap][None] for tap in spec.taps}

    def stride(self, tap: str, rows: int) -> int:
        """Of the tap, whatever its map."""
        return self.strides[tap]

    def attrs(self, spec: FeatureSpec, item: Item) -> dict[str, Any]:
        """What the control tells of its frames."""
        return dict(self.facts)
