"""`StoredItem`: the features of one clip, read straight from the page cache."""

import mmap
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vdprobe.errors import ConfigError, StoreError, suggest
from vdprobe.specs.features import Item, StoreDtype, Timestep
from vdprobe.specs.spans import FrameRule, Spans, are_spans, frame_sources, frame_spans, is_frame_by_frame
from vdprobe.store.checksum import extend
from vdprobe.store.encoding import STORED, decode
from vdprobe.store.frame_features import on_frames
from vdprobe.store.json_files import NotJson, parse_json, read_bytes
from vdprobe.store.shard import CODEC, index_size
from vdprobe.store.verified import is_intact


class _Tap(NamedTuple):
    """What a read needs to know of an array.

    - `size`: bytes of the file of a timestep, of which the first are the values. `scale` is `(T, C)` for int8.
    """

    stored: StoreDtype
    dtype: np.dtype[Any]
    shape: tuple[int, int, int, int]
    size: int
    timesteps: tuple[Timestep, ...]
    spans: Spans
    scale: np.ndarray | None


@dataclass(frozen=True)
class StoredItem:
    """One committed group of a store.

    - `attrs`: attributes of the group: `label`, `timesteps` and what the writer added.
    - `taps`: names of its arrays, in the order of the spec.
    - `files`: size and checksum of each file. `verify`: whether each is compared with it when this process first
      reads it.
    """

    path: Path
    item: Item
    spec_key: str
    attrs: dict[str, Any] = field(repr=False, compare=False)
    taps: tuple[str, ...] = field(compare=False)
    files: dict[str, tuple[int, str]] = field(repr=False, compare=False)
    verify: bool = field(default=True, repr=False, compare=False)
    _known: dict[str, _Tap] = field(default_factory=dict, init=False, repr=False, compare=False)

    def read(self, tap: str, timestep: Timestep | None = None, maps: slice | None = None) -> np.ndarray:
        """Features `(M, C, H, W)` of one timestep, map by map: float16 as stored, float32 for the other dtypes.

        float16 and float32 are a view of the memory-mapped file: nothing is read before it is used,
        and writing to it changes this array alone. `timestep` is its value, not its index, and None
        where there is only one or the tap does not depend on it.

        Raises `ConfigError` for a tap, timestep or maps that the item does not have and
        `StoreError` when a file is missing or damaged.
        """
        known = self._known.get(tap) or self._describe(tap)
        row = self._row(tap, known, timestep)
        bits = self._map(f"{tap}/c/{row}/0/0/0/0", known.dtype, known.shape, known.size)
        if maps is not None:
            self._check_inside(maps, known.shape[0], "maps")
            bits = bits[maps]
        return decode(bits, known.stored, None if known.scale is None else known.scale[row])

    def read_frames(
        self, tap: str, timestep: Timestep | None = None, rule: FrameRule = "nearest", frames: slice | None = None
    ) -> np.ndarray:
        """Features `(F, C, H, W)` of the clip's frames, or of `frames` among them, as the rule has it.

        As `read` where each frame has a map of its own; else a copy, except under `ends`, which is a view of the maps
        (`frames_with_features` says of which frames). Errors as in `read`, and `ConfigError` where no frame is left.
        """
        spans = self.spans(tap)
        count = spans[-1][1]
        if frames is not None:
            self._check_inside(frames, count, "frames")
        if is_frame_by_frame(spans):
            return self.read(tap, timestep, frames)
        sources = {source.frame: source for source in frame_sources(spans, rule)}
        chosen = [sources[f] for f in range(count)[frames or slice(None)] if f in sources]
        if not chosen:
            which = "" if frames is None else f" {frames.start}:{frames.stop}"
            raise ConfigError(f"tap '{tap}' has features of none of the frames{which} of {self.path} by rule '{rule}'")
        begin, end = min(source.first for source in chosen), max(source.second for source in chosen) + 1
        maps = self.read(tap, timestep, slice(begin, end))
        if [source.first for source in chosen] == list(range(begin, end)) and rule == "ends":
            return maps
        return on_frames(maps, chosen, begin)

    def frames_with_features(self, tap: str, rule: FrameRule) -> tuple[int, ...]:
        """The places in the clip of what `read_frames` gives."""
        return tuple(source.frame for source in frame_sources(self.spans(tap), rule))

    def spans(self, tap: str) -> Spans:
        """For each map of a tap the frames of the clip that it stands for."""
        return (self._known.get(tap) or self._describe(tap)).spans

    def raw(self, tap: str, timestep: Timestep | None = None) -> np.ndarray:
        """The stored bits `(M, C, H, W)`: uint16 patterns for bfloat16, steps for int8. Errors as in `read`."""
        known = self._known.get(tap) or self._describe(tap)
        row = self._row(tap, known, timestep)
        return self._map(f"{tap}/c/{row}/0/0/0/0", known.dtype, known.shape, known.size)

    def scale(self, tap: str) -> np.ndarray | None:
        """The int8 steps `(T, C)` of a tap, None for the other dtypes."""
        return (self._known.get(tap) or self._describe(tap)).scale

    def tap_attrs(self, tap: str) -> dict[str, Any]:
        """Attributes of a tap: `stride`, `timesteps`, `frames`, `min`, `max`, `stored_dtype`, errors of int8.

        And `spans` where it has not one map a frame.
        """
        attributes: dict[str, Any] = self._metadata(tap)["attributes"]
        return attributes

    def _row(self, tap: str, known: _Tap, timestep: Timestep | None) -> int:
        if timestep is None and len(known.timesteps) <= 1:
            return 0
        if timestep in known.timesteps:
            return known.timesteps.index(timestep)
        if not known.timesteps:
            raise ConfigError(f"tap '{tap}' does not depend on the timestep (asked for {timestep}); give None")
        stored = ", ".join(map(str, known.timesteps))
        raise ConfigError(f"tap '{tap}' has no timestep {timestep} in {self.path}; valid: {stored}")

    def _check_inside(self, asked: slice, count: int, what: str) -> None:
        # A slice of numpy would silently give fewer than were asked for.
        if any(end is not None and not -count <= end <= count for end in (asked.start, asked.stop)):
            raise ConfigError(f"{what} {asked.start}:{asked.stop} lie outside the {count} {what} of {self.path}")

    def _describe(self, tap: str) -> _Tap:
        metadata = self._metadata(tap)
        try:
            stored: StoreDtype = metadata["attributes"]["stored_dtype"]
            rows, *shape = (int(n) for n in metadata["shape"])
            maps, channel, height, width = shape
            if min(rows, *shape) < 1:
                raise ValueError("an empty array")
            dtype = np.dtype(STORED[stored])
            scale = None
            if stored == "int8":
                scale = self._map(f"{tap}.scale/c/0/0", np.dtype("<f4"), (rows, channel), 4 * rows * channel)
            size = dtype.itemsize * maps * channel * height * width
            if metadata["codecs"][0]["name"] == CODEC:  # else the values alone, as in schema 1
                size += index_size(maps)
            timesteps = tuple(metadata["attributes"]["timesteps"])
            spans = self._spans(metadata["attributes"].get("spans"), maps)
        except (IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._damaged(f"{tap}/zarr.json", "is damaged") from error
        known = _Tap(stored, dtype, (maps, channel, height, width), size, timesteps, spans, scale)
        self._known[tap] = known
        return known

    def _spans(self, found: Any, maps: int) -> Spans:
        """Those of the metadata, a map a frame where there are none. Raises `ValueError` for those of another clip."""
        frames = len(self.item.frames)
        spans = frame_spans(frames) if found is None else found
        if not are_spans(spans) or len(spans) != maps or spans[-1][1] != frames:
            raise ValueError("spans of another clip")
        return tuple((begin, end) for begin, end in spans)

    def _metadata(self, tap: str) -> dict[str, Any]:
        if tap not in self.taps:
            raise ConfigError(f"no tap '{tap}' in {self.path}: {suggest(tap, self.taps)}")
        name = f"{tap}/zarr.json"
        try:
            content = read_bytes(self.path / name)
            if self.verify and (len(content), f"{extend(0, content):08x}") != self.files[name]:
                raise self._damaged(name, "is damaged (checksum differs)")
            metadata = parse_json(content)
        except (OSError, NotJson) as error:
            raise self._damaged(name, "is missing or damaged") from error
        if not isinstance(metadata.get("attributes"), dict):
            raise self._damaged(name, "is damaged")
        return metadata

    def _map(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...], size: int) -> np.ndarray:
        """A private, writable view of the values of a file: PyTorch warns about read-only arrays."""
        try:
            file = os.open(f"{self.path}/{name}", os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise self._damaged(name, f"cannot be read ({error.strerror})") from error
        try:
            found = os.fstat(file)
            if found.st_size != size:
                raise self._damaged(name, f"has {found.st_size} bytes and not {size}")
            mapped = mmap.mmap(file, size, access=mmap.ACCESS_COPY)
            if self.verify and not is_intact(found, np.frombuffer(mapped, np.uint8), self.files[name][1]):
                raise self._damaged(name, "is damaged (checksum differs)")
            return np.ndarray(shape, dtype, mapped)
        finally:
            os.close(file)

    def _damaged(self, name: str, what: str) -> StoreError:
        return StoreError(
            f"{self.path}/{name} {what}; run `vdprobe store repair` and extract video '{self.item.video}' again"
        )
