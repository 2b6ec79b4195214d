"""What an extraction consists of: specs, clips and items. Making a plan loads no weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from vdprobe.data.clips import sample_clips
from vdprobe.data.frames import content_digest, count_frames
from vdprobe.data.sources import find_videos
from vdprobe.data.video import Failure, Video
from vdprobe.diffusion.forms import NO_ADAPTER, Cell, resolve_condition, resolve_noise
from vdprobe.diffusion.pipeline import Pipeline, find_pipeline, parts_for
from vdprobe.diffusion.schedule import NoiseLevel
from vdprobe.diffusion.taps import expand_taps, split_taps
from vdprobe.errors import ConfigError, VdprobeError
from vdprobe.extraction.config import ExtractConfig
from vdprobe.specs.features import (
    Condition,
    FeatureSpec,
    Item,
    LatentSampling,
    ModelIdentity,
    Noise,
    clip_name,
)


@dataclass(frozen=True)
class ClipWork:
    """One clip: the unit of work, of sharding and of claims."""

    video: Video
    digest: str
    frames: tuple[int, ...]

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The distinct texts of the video's expressions: equal texts share one item."""
        return tuple(dict.fromkeys(e.text for e in self.video.expressions))

    @property
    def name(self) -> str:
        """For people: `dog[0..35]`."""
        return clip_name(self.video.id, self.frames)

    def items(self, spec: FeatureSpec) -> tuple[Item, ...]:
        """The items of this clip under `spec`: one for each text, or one alone."""
        uses_text = spec.condition is not None and spec.condition.uses_text
        return tuple(
            Item(video=self.video.id, digest=self.digest, frames=self.frames, text=text)
            for text in (self.texts if uses_text else (None,))
        )

    def batches(self, spec: FeatureSpec, texts_per_forward: int) -> Iterator[tuple[Item, ...]]:
        """The items of each forward.

        They are cut from all items, done or not: which texts share a forward must not depend on
        where an earlier run stopped.
        """
        items = self.items(spec)
        for start in range(0, len(items), texts_per_forward):
            yield items[start : start + texts_per_forward]


@dataclass(frozen=True)
class Plan:
    """All there is to do, whether or not it is done already.

    - `specs`: the VAE taps' spec first, if any, then conditions x noises.
    - `levels`: the timesteps of every UNet spec, in all three units.
    - `failures`: videos and expressions that cannot be used.
    """

    config: ExtractConfig
    pipeline: Pipeline
    specs: tuple[FeatureSpec, ...]
    levels: tuple[NoiseLevel, ...]
    clips: tuple[ClipWork, ...]
    failures: tuple[Failure, ...]

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Distinct conditions of the specs."""
        return tuple(dict.fromkeys(s.condition for s in self.specs if s.condition is not None))

    @property
    def taps(self) -> tuple[str, ...]:
        """All taps, VAE's and UNet's."""
        return tuple(dict.fromkeys(tap for spec in self.specs for tap in spec.taps))


def make_plan(config: ExtractConfig, shard: tuple[int, int] = (0, 1)) -> Plan:
    """Finds the model and the videos, names every spec, samples every clip.

    - `shard`: (i, n) takes every n-th clip from the i-th on: shards are disjoint and together are the
      whole. Only a shard's own videos are read for their content hash.

    Raises `ConfigError` or `ModelError` for what makes the whole job meaningless; what concerns one
    video only is listed in `failures` (once, by the first shard, where no clip could be sampled).
    """
    index, count = shard
    if not 0 <= index < count:
        raise ConfigError(f"shard {index}/{count} does not exist; write i/n with i from 0 to n - 1")
    pipeline = find_pipeline(config.model.pipeline, config.model.image_encoder)
    specs, levels = make_specs(config, pipeline)
    found = find_videos(
        config.videos.path,
        layout=config.videos.layout,
        split=config.videos.split,
        only=config.videos.only,
        expressions=config.videos.expressions,
    )
    failures = list(found.failures)
    needs_text = dict.fromkeys(s.condition.kind for s in specs if s.condition is not None and s.condition.uses_text)
    sampled: list[tuple[Video, tuple[int, ...]]] = []
    for video in found.videos:
        if needs_text and not video.expressions:
            kinds = ", ".join(needs_text)
            error = f"has no expression, and {kinds} needs text: give --expressions FILE, or take condition vd-i"
            failures.append(Failure(video.id, error))
        try:
            frames = sample_clips(video.id, count_frames(video), config.clips)
        except VdprobeError as error:
            failures.append(Failure(video.id, str(error)))
            continue
        sampled += [(video, indices) for indices in dict.fromkeys(frames)]
    failures = failures if index == 0 else []
    clips = _identify(sampled[index::count], failures)
    return Plan(config, pipeline, specs, levels, tuple(clips), tuple(failures))


def _identify(sampled: Sequence[tuple[Video, tuple[int, ...]]], failures: list[Failure]) -> Iterator[ClipWork]:
    """Clips with the content hash of their video, which is read once for all of them."""
    for video, group in groupby(sampled, key=lambda clip: clip[0]):
        try:
            digest = content_digest(video)
        except VdprobeError as error:
            failures.append(Failure(video.id, str(error)))
            continue
        yield from (ClipWork(video, digest, frames) for _, frames in group)


def make_specs(config: ExtractConfig, pipeline: Pipeline) -> tuple[tuple[FeatureSpec, ...], tuple[NoiseLevel, ...]]:
    """The specs of the grid, and its noise levels."""
    vae_taps, unet_taps = split_taps(expand_taps(config.taps))
    levels: tuple[NoiseLevel, ...] = ()
    cells: list[tuple[Condition | None, Noise | None]] = [(None, None)] if vae_taps else []
    if unet_taps:
        levels = pipeline.schedule().parse_all(config.timesteps)
        cells += _grid(config, pipeline)
    # Weights are hashed once, however many specs name them.
    whole = pipeline.identity({part for condition, _ in cells for part in parts_for(condition)})
    latents = LatentSampling(kind=config.latents, seed=config.seed if config.latents == "sample" else None)
    specs = [
        FeatureSpec(
            model=ModelIdentity(name=whole.name, parts={part: whole.parts[part] for part in sorted(parts_for(c))}),
            taps=tuple(sorted(vae_taps if c is None else unet_taps)),
            timesteps=() if c is None else tuple(level.t for level in levels),
            condition=c,
            noise=noise,
            latents=None if c is None else latents,
            clips=config.clips,
            resize=config.resize,
            compute_dtype=config.model.dtype,
            store_dtype=config.store.dtype,
        )
        for c, noise in cells
    ]
    return tuple(specs), levels


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
