"""A diffusion pipeline as a model of an extraction: conditions x noises, and the VAE that all of them share."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vdprobe.models.diffusion.family import Family
from vdprobe.models.diffusion.forms import NO_ADAPTER, Cell, resolve_noise
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.diffusion.vae_taps import split_taps
from vdprobe.specs.features import Condition, FeatureSpec, LatentSampling, ModelIdentity, Noise
from vdprobe.specs.layer import Layer, Shape
from vdprobe.specs.noise_level import CLEAN, NoiseLevel
from vdprobe.specs.request import FeatureRequest

if TYPE_CHECKING:
    from vdprobe.models.diffusion.diffusion_clip import LoadedDiffusion


@dataclass(frozen=True)
class DiffusionModel:
    """A pipeline; its VAE's taps have a spec of their own, as they depend on the frames alone.

    - `adapter`: what its conditions and noises go through, see `open_adapters`.
    """

    family: Family
    adapter: str | None = None

    @property
    def pipeline(self) -> Pipeline:
        """Its parts."""
        return self.family.pipeline

    @property
    def name(self) -> str:
        """The pipeline's."""
        return self.pipeline.name

    @property
    def notes(self) -> tuple[str, ...]:
        """None that all clips have in common."""
        return ()

    def specs(self, request: FeatureRequest) -> tuple[FeatureSpec, ...]:
        """The VAE taps' spec first, if any, then conditions x noises.

        Raises `ConfigError` for an unknown tap or timestep, `ModelError` for a condition or noise without its adapter.
        """
        settings = self.family.settings(request)  # what a family refuses it refuses before weights are hashed
        vae_taps, unet_taps = split_taps(self.family.expand_taps(request.taps))
        cells: list[tuple[Condition | None, Noise | None]] = [(None, None)] if vae_taps else []
        levels: tuple[NoiseLevel, ...] = ()
        if unet_taps:
            levels = self.levels(request.timesteps)
            cells += self._grid(request)
        # Weights are hashed once, however many specs name them.
        parts = {cell: self._parts(*cell, levels) for cell in cells}
        whole = self.pipeline.identity({part for some in parts.values() for part in some})
        latents = LatentSampling(kind=request.latents, seed=request.seed if request.latents == "sample" else None)
        return tuple(
            FeatureSpec(
                model=ModelIdentity(
                    name=whole.name, parts={part: whole.parts[part] for part in sorted(parts[c, noise])}
                ),
                taps=tuple(sorted(vae_taps if c is None else unet_taps)),
                timesteps=() if c is None else tuple(level.timestep for level in levels),
                condition=c,
                noise=noise,
                latents=None if c is None else latents,
                clips=request.clips,
                resize=request.resize,
                compute_dtype=request.compute_dtype,
                store_dtype=request.store_dtype,
                lighting=request.lighting,
                settings=settings,
            )
            for c, noise in cells
        )

    def levels(self, timesteps: Iterable[int | float | str]) -> tuple[NoiseLevel, ...]:
        """Timesteps by the pipeline's process. Raises `ConfigError` for one that it does not have."""
        return self.family.process().parse_all(timesteps)

    def frame_group(self, request: FeatureRequest) -> int:
        """The group of the family's VAE."""
        return self.family.frame_group(request)

    def layers(self, *, frames: int, height: int, width: int, every_step: bool = False) -> list[Layer]:
        """The VAE's taps, then the denoiser's."""
        return self.family.layers(frames=frames, height=height, width=width, every_step=every_step)

    def shapes(self, taps: Sequence[str], *, frames: int, height: int, width: int) -> dict[str, Shape]:
        """The shape of each tap."""
        return self.family.shapes(taps, frames=frames, height=height, width=width)

    def load(self, specs: Sequence[FeatureSpec], device: str, *, compiled: bool = False) -> "LoadedDiffusion":
        """The parts that `specs` need, with the adapters of their conditions and noises."""
        from vdprobe.models.diffusion.diffusion_clip import LoadedDiffusion

        return LoadedDiffusion.load(self.family, self.adapter, specs, device, compiled=compiled)

    def _parts(self, condition: Condition | None, noise: Noise | None, levels: Sequence[NoiseLevel]) -> set[str]:
        """What the features of a cell depend on; an inversion begins at clean latents, without guidance."""
        if noise is None or noise.kind != "inverted":
            return set(self.family.parts_at(condition, levels))
        path = (*self.levels((CLEAN,)), *levels)
        return {*self.family.parts_at(condition, path), *self.family.parts_at(self.family.unguided, path)}

    def _grid(self, request: FeatureRequest) -> Iterator[tuple[Condition, Noise]]:
        """The grid with what determines its cells: the adapters' weights and the seed."""
        cells = [(c, n) for c in dict.fromkeys(request.conditions) for n in dict.fromkeys(request.noises)]
        prints: dict[Cell, dict[str, str]] = {}
        if self.adapter != NO_ADAPTER and (self.adapter or "adapters" in self.pipeline.folders):
            from vdprobe.models.diffusion.adapter_set import open_adapters

            adapters = open_adapters(self.adapter, self.family, cells)
            known = {id(adapter): adapter.fingerprints() for adapter in adapters.values()}
            prints = {cell: known[id(adapter)] for cell, adapter in adapters.items()}
        for cell in cells:
            parts = prints.get(cell, {})
            yield (
                self.family.resolve_condition(cell[0], parts),
                resolve_noise(cell[1], request.seed, request.inversion_steps, parts),
            )
