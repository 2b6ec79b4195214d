"""Clips whose features are in a store, as the four levels that the head reads.

Shape letters: F frames, C channels, h w height and width of a level.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vdprobe.errors import ConfigError, DataError, StoreError, suggest
from vdprobe.extraction.clip_work import ClipWork
from vdprobe.extraction.plan import Plan
from vdprobe.head.config import STRIDES, Four
from vdprobe.models.diffusion.diffusion_model import DiffusionModel
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.unet3d.taps import VDIT_LEVELS, canonical_tap
from vdprobe.specs.features import FeatureSpec, Item, Timestep
from vdprobe.specs.spans import USUAL_RULE, FrameRule
from vdprobe.store.item import StoredItem
from vdprobe.store.store import FeatureStore

Levels = tuple[tuple[str, ...], ...]
"""Of each level, finest first, the taps whose channels stand side by side in it."""
NAMED = 3
"""Videos that an error names."""


@dataclass(frozen=True)
class Sizes:
    """(height, width) in pixels: of the `source` video, of the resized `frame`, and `padded` as the model saw it."""

    source: tuple[int, int]
    frame: tuple[int, int]
    padded: tuple[int, int]


@dataclass(frozen=True)
class CachedClips:
    """The clips of one extraction, and where the features of each are.

    - `names`: the taps of each level. `places`: the spec of the plan that holds a tap.
    - `timestep`: of the specs that have any. `frame_rule`: what the features of a frame are.
    """

    plan: Plan
    store: FeatureStore
    names: Levels
    places: Mapping[str, FeatureSpec]
    timestep: Timestep | None
    frame_rule: FrameRule = USUAL_RULE
    _seen: dict[int, tuple[int, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        plan: Plan,
        store: FeatureStore,
        *,
        timestep: int | float | str | None = None,
        levels: Levels = VDIT_LEVELS,
        frame_rule: FrameRule = USUAL_RULE,
    ) -> "CachedClips":
        """The clips of a plan, in which each tap of the levels has one condition, noise and timestep.

        - `timestep`: as in `ExtractConfig`, None where the plan has one; without a meaning for a control.

        Raises `ConfigError` where a tap is in none or in several of the plan's specs, and for a timestep that
        they do not have.
        """
        if len(levels) != len(STRIDES) or not all(levels):
            raise ConfigError(f"levels are {len(STRIDES)} lists of taps, at strides {STRIDES}; these are {levels}")
        names = tuple(tuple(_spelled(plan, tap) for tap in level) for level in levels)
        places = {tap: _place(plan, tap) for level in names for tap in level}
        return cls(plan, store, names, places, _timestep(plan, places.values(), timestep), frame_rule)

    @property
    def specs(self) -> tuple[FeatureSpec, ...]:
        """The specs that the levels are in, each once."""
        return tuple(dict.fromkeys(self.places.values()))

    @property
    def clips(self) -> tuple[ClipWork, ...]:
        """All clips, by video."""
        return self.plan.clips

    def items(self) -> list[tuple[FeatureSpec, Item]]:
        """All that the levels of all clips need."""
        return [(spec, item) for clip in self.clips for spec in self.specs for item in clip.items(spec)]

    def stored(self, clip: ClipWork, text: str | None) -> dict[FeatureSpec, StoredItem]:
        """The item of each spec. Raises `DataError` for a text that is not the clip's, else as `FeatureStore.get`."""
        return {spec: self.store.get(spec.key, _item(clip, spec, text)) for spec in self.specs}

    def levels(
        self, clip: ClipWork, text: str | None = None, frames: slice | None = None
    ) -> list[Float[Tensor, "F _ _ _"]]:
        """The levels at strides 4, 8, 16, 32 in float32.

        - `text`: of the expression, as the dataset has it; without a meaning where no condition uses text.
        - `frames`: which of those that have features (`places_with_features`).

        Raises `StoreError` for an item that is absent or damaged, `ConfigError` for frames that the clip lacks.
        """
        stored = self.stored(clip, text)
        places = self._chosen(clip, frames) if self.frame_rule == "ends" else frames
        levels = []
        for taps in self.names:
            parts = [self._read(stored[self.places[tap]], tap, places) for tap in taps]
            sizes = {part.shape[2:] for part in parts}
            if len(sizes) > 1:
                raise ConfigError(
                    f"taps {', '.join(taps)} differ in size ({sizes}) and make no level; see `vdprobe layers`"
                )
            levels.append(torch.from_numpy(np.concatenate(parts, axis=1, dtype=np.float32)))
        return levels

    def places_with_features(self, clip: ClipWork) -> tuple[int, ...]:
        """The places in a clip of the frames that have features in all levels; all of them, but under rule `ends`."""
        count = len(clip.frames)
        if self.frame_rule != "ends":
            return tuple(range(count))
        if count not in self._seen:
            stored = self.stored(clip, clip.texts[0] if clip.texts else None)
            seen = [set(stored[spec].frames_with_features(tap, "ends")) for tap, spec in self.places.items()]
            self._seen[count] = tuple(sorted(set.intersection(*seen)))
        return self._seen[count]

    def frames_with_features(self, clip: ClipWork) -> tuple[int, ...]:
        """Those frames, by their numbers in the video."""
        return tuple(clip.frames[place] for place in self.places_with_features(clip))

    def sizes(self, clip: ClipWork, text: str | None = None) -> Sizes:
        """How large the frames of a clip were."""
        attrs = next(iter(self.stored(clip, text).values())).attrs
        return Sizes(*(tuple(attrs[name]) for name in ("source_size", "frame_size", "padded_size")))

    def widths(self) -> Four:
        """Channels of each level, as they are in the store.

        Raises `ConfigError` for a tap at another stride than its level's.
        """
        clip = next(clip for clip in self.clips if all(clip.items(spec) for spec in self.specs))
        stored = self.stored(clip, clip.texts[0] if clip.texts else None)
        widths = []
        for taps, stride in zip(self.names, STRIDES, strict=True):
            for tap in taps:
                found = stored[self.places[tap]].tap_attrs(tap)["stride"]
                if 2 ** round(math.log2(found)) != stride:  # 31, where the last place is half a place
                    raise ConfigError(f"tap '{tap}' has stride {found} and is in the level at stride {stride}; move it")
            widths.append(sum(self._read(stored[self.places[tap]], tap).shape[1] for tap in taps))
        return widths[0], widths[1], widths[2], widths[3]

    def _chosen(self, clip: ClipWork, frames: slice | None) -> tuple[int, ...]:
        """The places of some of the frames with features."""
        places, frames = self.places_with_features(clip), frames or slice(None)
        if any(end is not None and not -len(places) <= end <= len(places) for end in (frames.start, frames.stop)):
            raise ConfigError(
                f"frames {frames.start}:{frames.stop} lie outside the {len(places)} frames of {clip.name} that have "
                f"features by rule '{self.frame_rule}'"
            )
        return places[frames]

    def _read(self, item: StoredItem, tap: str, frames: tuple[int, ...] | slice | None = None) -> np.ndarray:
        """The features of a tap: of some frames by their places, where those are not a slice."""
        timestep = self.timestep if self.places[tap].timesteps else None
        if not isinstance(frames, tuple):
            return item.read_frames(tap, timestep, self.frame_rule, frames)
        there = item.frames_with_features(tap, self.frame_rule)
        return item.read_frames(tap, timestep, self.frame_rule)[[there.index(place) for place in frames]]


def require_items(cached: Sequence[CachedClips], command: str) -> None:
    """Raises `StoreError` where the stores lack items, with the `command` that makes them."""
    items = [(clips.store, spec, item) for clips in cached for spec, item in clips.items()]
    missing = [item.video for store, spec, item in items if not store.is_committed(spec.key, item)]
    if missing:
        videos = list(dict.fromkeys(missing))
        more = f" and {len(videos) - NAMED} more" if len(videos) > NAMED else ""
        raise StoreError(
            f"{len(missing)} of {len(items)} items are not in the store {cached[0].store.root} (videos "
            f"{', '.join(videos[:NAMED])}{more}): {command}"
        )


def pipeline_of(plan: Plan) -> Pipeline | None:
    """The T2V model that the features of a plan are of, None for a control."""
    return plan.model.pipeline if isinstance(plan.model, DiffusionModel) else None


def _item(clip: ClipWork, spec: FeatureSpec, text: str | None) -> Item:
    if spec.uses_text and text not in clip.texts:
        raise DataError(f"video '{clip.video.id}' has no expression {text!r}: {suggest(str(text), clip.texts)}")
    return clip.item(spec, text)


def _spelled(plan: Plan, tap: str) -> str:
    """A tap as the specs name it."""
    with suppress(ConfigError):  # a control's taps have one name each
        return tap if tap in plan.taps else canonical_tap(tap)
    return tap


def _place(plan: Plan, tap: str) -> FeatureSpec:
    holders = [spec for spec in plan.specs if tap in spec.taps]
    if not holders:
        raise ConfigError(f"the levels need tap '{tap}', which the extraction does not have: {suggest(tap, plan.taps)}")
    if len(holders) > 1:
        raise ConfigError(
            f"the levels' tap '{tap}' is in {len(holders)} specs of the extraction "
            f"({', '.join(spec.label for spec in holders)}); a head reads one: name one condition and one noise"
        )
    return holders[0]


def _timestep(plan: Plan, specs: Iterable[FeatureSpec], asked: int | float | str | None) -> Timestep | None:
    there = {t for spec in specs for t in spec.timesteps}
    if not there:
        return None
    names = ", ".join(map(str, sorted(there)))
    if asked is None and len(there) > 1:
        raise ConfigError(f"the extraction has timesteps {names}; name the one to read with timestep")
    t = min(there) if asked is None else plan.model.levels((asked,))[0].timestep
    if t not in there:
        raise ConfigError(f"timestep (={asked}) is {t}, which the extraction does not have; valid: {names}")
    return t
