"""All that the viewer reads of a store: which specs and clips it holds, and the features of a clip.

Nothing else in this package knows how a store is laid out.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import Float

from vdprobe.errors import ConfigError, StoreError, suggest
from vdprobe.look.geometry import Grid
from vdprobe.specs.features import Timestep, spec_label
from vdprobe.specs.load import flatten
from vdprobe.store.folders import groups
from vdprobe.store.item import StoredItem
from vdprobe.store.loading import load_item
from vdprobe.store.spec_file import StoredSpec
from vdprobe.store.store import FeatureStore


@dataclass(frozen=True)
class SpecEntry:
    """One computation of the store.

    - `label`: names it among the others, such as `tiny-t2v · vd-it/gaussian`.
    - `timesteps`: empty where features depend on the frames alone. `flip`: whether the model saw mirrored frames.
    - `videos`: the options by which its extraction found its videos, as far as they are known.
    """

    key: str
    label: str
    taps: tuple[str, ...]
    timesteps: tuple[int, ...]
    flip: bool = False
    videos: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    lighting: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class ClipEntry:
    """One clip of a video under a spec: what an address names.

    - `frames`: indices into the video. `text`: None where the features depend on none.
    - `sigmas`: of the spec's timesteps, empty where they are not known.
    """

    spec: SpecEntry
    video: str
    digest: str
    frames: tuple[int, ...]
    text: str | None
    sigmas: tuple[float, ...]
    source: StoredItem = field(repr=False, compare=False)

    @property
    def clip(self) -> str:
        """The name of the clip in addresses."""
        return clip_id(self.frames)


@dataclass(frozen=True)
class ClipFeatures:
    """The features of a clip at one tap and timestep, as stored: `values` may be memory-mapped."""

    values: Float[np.ndarray, "F C h w"]
    grid: Grid


def clip_id(frames: Sequence[int]) -> str:
    """`0-35` for neighbouring frames, and else with the beginning of a hash of all: `0-39.5c1e0f2a`."""
    ends = f"{frames[0]}-{frames[-1]}"
    if list(frames) == list(range(frames[0], frames[0] + len(frames))):
        return ends
    return f"{ends}.{hashlib.sha256(','.join(map(str, frames)).encode()).hexdigest()[:8]}"


class FeatureReader:
    """Reads a store that may be filled meanwhile: what is listed is what is there at that moment."""

    def __init__(self, root: str | Path) -> None:
        self.store = FeatureStore.open(root)
        self._known: dict[Path, StoredItem] = {}
        self._lock = Lock()

    @property
    def name(self) -> str:
        """Where the store is."""
        return str(self.store.root)

    def specs(self) -> list[SpecEntry]:
        """The specs by label, random weights last; two that would share one have what tells them apart in it.

        Raises `StoreError` for a store that holds none.
        """
        found = self.store.specs()
        if not found:
            raise StoreError(f"the store {self.name} is empty; `vdprobe extract --store {self.name}` fills it")
        entries = [_entry(spec, label) for spec, label in _labels(found).items()]
        return sorted(entries, key=lambda entry: (entry.label.startswith("random"), entry.label))

    def spec(self, key: str) -> SpecEntry:
        """The spec whose key begins with `key`. Raises `ConfigError` where it is none, or several."""
        entries = self.specs()
        found = [entry for entry in entries if key and entry.key.startswith(key)]
        if len(found) != 1:
            problem = "begins the keys of several specs" if found else "is no spec"
            valid = suggest(key, [entry.key[:16] for entry in found or entries])
            raise ConfigError(f"'{key[:80]}' {problem} of the store {self.name}: {valid}")
        return found[0]

    def clips(self, spec: SpecEntry) -> list[ClipEntry]:
        """The clips that are complete, by video, frames and text."""
        return sorted(
            (_clip(spec, item) for item in self._items(spec)),
            key=lambda clip: (clip.video, clip.frames, clip.text or ""),
        )

    def clip(self, spec: SpecEntry, video: str, clip: str, text: str | None) -> ClipEntry:
        """The clip of an address, with its text, or the first where there is no such text.

        Raises `ConfigError` where the store has no such clip (yet).
        """
        entries = self.clips(spec)
        mine = [entry for entry in entries if entry.video == video]
        if not mine:
            names = list(dict.fromkeys(entry.video for entry in entries))
            hint = suggest(video, names) if names else "it holds no clip yet"
            raise ConfigError(f"there is no video '{video[:80]}' under {spec.label}: {hint}")
        same = [entry for entry in mine if entry.clip == clip]
        if not same:
            names = list(dict.fromkeys(entry.clip for entry in mine))
            raise ConfigError(f"video '{video}' has no clip '{clip[:80]}' under {spec.label}: {suggest(clip, names)}")
        return next((entry for entry in same if entry.text == text), same[0])

    def read(self, clip: ClipEntry, tap: str, timestep: Timestep | None) -> ClipFeatures:
        """Features without what lies in the padding alone. A timestep is ignored where there is none.

        Raises `ConfigError` for an unknown tap or timestep, `StoreError` for a damaged file.
        """
        item = clip.source
        timestep = timestep if clip.spec.timesteps else None
        values = item.read_frames(tap, timestep, "nearest")
        stride = int(item.tap_attrs(tap)["stride"])
        try:
            height, width = (int(side) for side in item.attrs["frame_size"])
        except KeyError:  # of writers other than `extract`
            height, width = (side * stride for side in values.shape[2:])
        rows, columns = (
            min(-(-side // stride), cells) for side, cells in zip((height, width), values.shape[2:], strict=True)
        )
        grid = Grid(rows, columns, stride, height, width, clip.spec.flip)
        return ClipFeatures(values[:, :, :rows, :columns], grid)

    def _items(self, spec: SpecEntry) -> list[StoredItem]:
        """The complete items; each is looked into once, as it never changes."""
        found = {}
        for path in groups(self.store.root / spec.key[:16]):
            item = self._known.get(path) or load_item(path, spec.key, verify=self.store.verify)
            if item is not None:
                found[path] = item
        with self._lock:
            self._known.update(found)
        return list(found.values())


def _clip(spec: SpecEntry, item: StoredItem) -> ClipEntry:
    sigmas = item.attrs.get("sigma")
    known = isinstance(sigmas, list) and len(sigmas) == len(spec.timesteps)
    named = item.item
    return ClipEntry(
        spec,
        named.video,
        named.digest,
        named.frames,
        named.text,
        tuple(float(sigma) for sigma in sigmas) if known and isinstance(sigmas, list) else (),
        item,
    )


def _entry(stored: StoredSpec, label: str) -> SpecEntry:
    spec, config = stored.spec, stored.provenance.get("config")
    videos = config.get("videos") if isinstance(config, dict) else None
    resize = spec.get("resize")
    return SpecEntry(
        stored.key,
        label,
        tuple(spec["taps"]),
        tuple(spec["timesteps"]),
        bool(resize.get("flip")) if isinstance(resize, dict) else False,
        videos if isinstance(videos, dict) else {},
        spec.get("lighting"),
    )


def _labels(specs: Sequence[StoredSpec]) -> dict[StoredSpec, str]:
    """A name for each, with the options that differ within those of one model, condition and noise."""
    short: dict[str, list[StoredSpec]] = {}
    for stored in specs:
        spec = stored.spec
        condition, noise = ((spec.get(name) or {}).get("kind") for name in ("condition", "noise"))
        short.setdefault(f"{spec['model']['name']} · {spec_label(condition, noise, spec['taps'])}", []).append(stored)
    out = {}
    for label, same in short.items():
        options = [dict(flatten(stored.spec)) for stored in same]
        differing = [name for name in options[0] if len({str(option.get(name)) for option in options}) > 1]
        for stored, option in zip(same, options, strict=True):
            more = ", ".join(f"{_SHORT.get(name, name)} {_plain(option.get(name))}" for name in differing)
            out[stored] = f"{label} · {more}" if more else label
    for stored, label in out.items():  # alike in all words, as weights are that have one name
        if list(out.values()).count(label) > 1:
            out[stored] = f"{label} · {stored.key[:8]}"
    return out


_SHORT = {"noise.seed": "seed", "store_dtype": "stored as", "clips.frames": "frames", "resize.short_side": "side"}


def _plain(value: Any) -> str:
    text = "+".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 24 else f"{text[:20]}…"
