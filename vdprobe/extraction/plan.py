"""What an extraction consists of: specs, clips and items. Making a plan loads no weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from vdprobe.data.clips import sample_clips
from vdprobe.data.frames import content_digest, count_frames
from vdprobe.data.sources import find_videos
from vdprobe.data.subset import shuffle_texts, take_first
from vdprobe.data.video import Failure, Video, VideoSet
from vdprobe.errors import ConfigError, ModelError, VdprobeError
from vdprobe.extraction.clip_work import ClipWork
from vdprobe.extraction.config import ExtractConfig, VideoConfig
from vdprobe.models.diffusion.diffusion_model import DiffusionModel
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.model import Model
from vdprobe.models.registry import find_model
from vdprobe.specs.clip import clip_name
from vdprobe.specs.features import FeatureSpec
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.video import ClipSampling


@dataclass(frozen=True)
class Plan:
    """All there is to do, whether or not it is done already.

    - `specs`: what depends on the frames alone first, then conditions x noises.
    - `levels`: the timesteps of every spec that has any, in all three units.
    - `failures`: videos and expressions that cannot be used.
    """

    config: ExtractConfig
    model: Model
    specs: tuple[FeatureSpec, ...]
    levels: tuple[NoiseLevel, ...]
    clips: tuple[ClipWork, ...]
    failures: tuple[Failure, ...]

    @property
    def taps(self) -> tuple[str, ...]:
        """The taps of all specs."""
        return tuple(dict.fromkeys(tap for spec in self.specs for tap in spec.taps))

    @property
    def pipeline(self) -> Pipeline:
        """The parts of a diffusion model. Raises `ModelError` for a control, which has none."""
        if isinstance(self.model, DiffusionModel):
            return self.model.pipeline
        raise ModelError(f"model '{self.model.name}' is a control and no diffusion pipeline; give one as --model")


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
    model = find_model(config.model.pipeline, config.model.image_encoder, config.model.adapter)
    specs, levels = make_specs(config, model)
    group = model.frame_group(config.request)
    found = wanted_videos(config.videos)
    failures = list(found.failures)
    needs_text = dict.fromkeys(s.condition.kind for s in specs if s.condition is not None and s.uses_text)
    sampled: list[tuple[Video, tuple[int, ...], int | None]] = []
    for video in found.videos:
        if needs_text and not video.expressions:
            kinds = ", ".join(needs_text)
            error = f"has no expression, and {kinds} needs text: give --expressions FILE, or take condition vd-i"
            failures.append(Failure(video.id, error))
        elif config.clips.kind == "centred" and not video.expressions:
            error = (
                "has no expression, and clips of kind 'centred' are centred on their frames: give --expressions FILE"
            )
            failures.append(Failure(video.id, error))
        try:
            clips = _sample(video, config.clips, failures)
        except VdprobeError as error:
            failures.append(Failure(video.id, str(error)))
            continue
        for frames, centre in clips.items():
            if config.incomplete_groups == "refuse" and (len(frames) - 1) % group:
                reason = (
                    f"has {len(frames)} frames, which is not 1 + a multiple of {group}, the frames of a latent: choose "
                    f"clips.frames so, or incomplete_groups: repeat, which fills the last group with its last frame"
                )
                failures.append(Failure(clip_name(video.id, frames), reason))
            else:
                sampled.append((video, frames, centre))
    failures = failures if index == 0 else []
    work = _identify(sampled[index::count], failures)
    return Plan(config, model, specs, levels, tuple(work), tuple(failures))


def wanted_videos(wanted: VideoConfig) -> VideoSet:
    """The videos that are asked for, with the texts that are; raises as `find_videos` does."""
    found = find_videos(
        wanted.path,
        layout=wanted.layout,
        split=wanted.split,
        only=wanted.only,
        expressions=wanted.expressions,
        masks=wanted.masks,
        rotate=wanted.rotate,
    )
    found = take_first(found, wanted.limit, wanted.texts_per_object)
    if wanted.shuffle_texts is not None:
        found = shuffle_texts(found, wanted.shuffle_texts)
    return found


def _sample(video: Video, sampling: ClipSampling, failures: list[Failure]) -> dict[tuple[int, ...], int | None]:
    """The frames of each clip, and the one it is there for; expressions that no clip can be for are `failures`."""
    count = count_frames(video)
    if sampling.kind != "centred":
        return dict.fromkeys(sample_clips(video.id, count, sampling))
    centres = set()
    for expression in video.expressions:
        frame = expression.frame
        if frame is not None and frame < count:
            centres.add(frame)
            continue
        what = "is about no single frame" if frame is None else f"is about frame {frame} of {count}"
        error = f"{what}, and clips of kind 'centred' are made around one: take clips of kind windows"
        failures.append(Failure(f"{video.id}/{expression.id}", error))
    ordered = sorted(centres)
    return dict(zip(sample_clips(video.id, count, sampling, ordered), ordered, strict=True))


def _identify(
    sampled: Sequence[tuple[Video, tuple[int, ...], int | None]], failures: list[Failure]
) -> Iterator[ClipWork]:
    """Clips with the content hash of their video, which is read once for all of them."""
    for video, group in groupby(sampled, key=lambda clip: clip[0]):
        try:
            digest = content_digest(video)
        except VdprobeError as error:
            failures.append(Failure(video.id, str(error)))
            continue
        yield from (ClipWork(video, digest, frames, centre) for _, frames, centre in group)


def make_specs(config: ExtractConfig, model: Model) -> tuple[tuple[FeatureSpec, ...], tuple[NoiseLevel, ...]]:
    """The specs of an extraction with this model, and their timesteps in all three units."""
    specs = model.specs(config.request)
    return specs, model.levels(config.timesteps) if any(spec.timesteps for spec in specs) else ()
