"""A diffusion pipeline as a model of an extraction: conditions x noises, and the VAE that all of them share."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vdprobe.diffusion.forms import NO_ADAPTER, Cell, resolve_condition, resolve_noise
from vdprobe.diffusion.pipeline import Pipeline, parts_for
from vdprobe.diffusion.schedule import NoiseLevel
from vdprobe.diffusion.taps import expand_taps, split_taps
from vdprobe.extraction.config import ExtractConfig
from vdprobe.specs.features import Condition, FeatureSpec, LatentSampling, ModelIdentity, Noise
from vdprobe.specs.layer import Layer, Shape

if TYPE_CHECKING:
    from vdprobe.extraction.diffusion_clip import LoadedDiffusion
    from vdprobe.extraction.plan import Plan

DEFAULT_TAPS = ("vd-it",)
"""Of an extraction that names none: those that VD-IT reads."""


@dataclass(frozen=True)
class DiffusionModel:
    """A pipeline; its VAE's taps have a spec of their own, as they depend on the frames alone."""

    pipeline: Pipeline

    @property
    def name(self) -> str:
        """The pipeline's."""
        return self.pipeline.name

    @property
    def notes(self) -> tuple[str, ...]:
        """None that all clips have in common."""
        return ()

    def specs(self, config: ExtractConfig) -> tuple[FeatureSpec, ...]:
        """The VAE taps' spec first, if any, then conditions x noises.

        Raises `ConfigError` for an unknown tap or timestep, `ModelError` for a condition or noise without its adapter.
        """
        vae_taps, unet_taps = split_taps(expand_taps(DEFAULT_TAPS if config.taps is None else config.taps))
        cells: list[tuple[Condition | None, Noise | None]] = [(None, None)] if vae_taps else []
        timesteps: tuple[int, ...] = ()
        if unet_taps:
            timesteps = tuple(level.t for level in self.levels(config.timesteps))
            cells += _grid(config, self.pipeline)
        # Weights are hashed once, however many specs name them.
        whole = self.pipeline.identity({part for condition, _ in cells for part in parts_for(condition)})
        latents = LatentSampling(kind=config.latents, seed=config.seed if config.latents == "sample" else None)
        return tuple(
            FeatureSpec(
                model=ModelIdentity(name=whole.name, parts={part: whole.parts[part] for part in sorted(parts_for(c))}),
                taps=tuple(sorted(vae_taps if c is None else unet_taps)),
                timesteps=() if c is None else timesteps,
                condition=c,
                noise=noise,
                latents=None if c is None else latents,
                clips=config.clips,
                resize=config.resize,
                compute_dtype=config.model.dtype,
                store_dtype=config.store.dtype,
                lighting=config.lighting,
            )
            for c, noise in cells
        )

    def levels(self, timesteps: Iterable[int | str]) -> tuple[NoiseLevel, ...]:
        """Timesteps by the pipeline's schedule. Raises `ConfigError` for one that it does not have."""
        return self.pipeline.schedule().parse_all(timesteps)

    def layers(self, *, frames: int, height: int, width: int, every_step: bool = False) -> list[Layer]:
        """The VAE's taps, then the UNet's."""
        from vdprobe.diffusion.layers import describe_layers

        return describe_layers(self.pipeline, frames=frames, height=height, width=width, every_step=every_step)

    def shapes(self, taps: Sequence[str], *, frames: int, height: int, width: int) -> dict[str, Shape]:
        """The shape of each tap."""
        from vdprobe.diffusion.layers import unet_shapes, vae_shapes

        found: dict[str, Shape] = {}
        for part, measure in zip(split_taps(taps), (vae_shapes, unet_shapes), strict=True):
            if part:
                found |= measure(self.pipeline, list(part), frames=frames, height=height, width=width)
        return found

    def load(self, plan: "Plan") -> "LoadedDiffusion":
        """With the adapters of its conditions and noises."""
        from vdprobe.extraction.diffusion_clip import LoadedDiffusion

        return LoadedDiffusion.load(self.pipeline, plan)


def grid_cells(config: ExtractConfig) -> tuple[Cell, ...]:
    """Condition and noise of each UNet spec, in order."""
    return tuple(
        (condition, noise) for condition in dict.fromkeys(config.conditions) for noise in dict.fromkeys(config.noises)
    )


def _grid(config: ExtractConfig, pipeline: Pipeline) -> Iterator[tuple[Condition, Noise]]:
    """The grid with what determines its cells: the adapters' weights and the seed."""
    prints: dict[Cell, dict[str, str]] = {}
    if config.model.adapter != NO_ADAPTER and (config.model.adapter or "adapters" in pipeline.folders):
        from vdprobe.diffusion.adapter_set import open_adapters

        adapters = open_adapters(config.model.adapter, pipeline, grid_cells(config))
        known = {id(adapter): adapter.fingerprints() for adapter in adapters.values()}
        prints = {cell: known[id(adapter)] for cell, adapter in adapters.items()}
    for condition, noise in grid_cells(config):
        parts = prints.get((condition, noise), {})
        yield resolve_condition(condition, parts), resolve_noise(noise, config.seed, parts)
