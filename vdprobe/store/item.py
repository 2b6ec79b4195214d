"""`StoredItem`: the features of one clip, read straight from the page cache."""

import mmap
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vdprobe.errors import ConfigError, StoreError, suggest
from vdprobe.specs.features import Item, StoreDtype, Timestep
from vdprobe.store.checksum import extend
from vdprobe.store.encoding import STORED, decode
from vdprobe.store.json_files import NotJson, parse_json, read_bytes
from vdprobe.store.verified import is_intact


class _Tap(NamedTuple):
    """What a read needs to know of an array; `scale` is `(T, C)` for int8."""

    stored: StoreDtype
    dtype: np.dtype[Any]
    shape: tuple[int, int, int, int]
    size: int
    timesteps: tuple[Timestep, ...]
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

    def read(self, tap: str, timestep: Timestep | None = None, frames: slice | None = None) -> np.ndarray:
        """Features `(F, C, H, W)` of one timestep: float16 as stored, float32 for the other dtypes.

        float16 and float32 are a view of the memory-mapped file: nothing is read before it is used,
        and writing to it changes this array alone. `timestep` is its value, not its index, and None
        where there is only one or the tap does not depend on it. `frames` counts within the clip.

        Raises `ConfigError` for a tap, timestep or frames that the item does not have and
        `StoreError` when a file is missing or damaged.
        """
        known = self._known.get(tap) or self._describe(tap)
        row = self._row(tap, known, timestep)
        bits = self._map(f"{tap}/c/{row}/0/0/0/0", known.dtype, known.shape, known.size)
        if frames is not None:
            self._check_frames(frames, known.shape[0])
            bits = bits[frames]
        return decode(bits, known.stored, None if known.scale is None else known.scale[row])

    def raw(self, tap: str, timestep: Timestep | None = None) -> np.ndarray:
        """The stored bits `(F, C, H, W)`: uint16 patterns for bfloat16, steps for int8. Errors as in `read`."""
        known = self._known.get(tap) or self._describe(tap)
        row = self._row(tap, known, timestep)
        return self._map(f"{tap}/c/{row}/0/0/0/0", known.dtype, known.shape, known.size)

    def scale(self, tap: str) -> np.ndarray | None:
        """The int8 steps `(T, C)` of a tap, None for the other dtypes."""
        return (self._known.get(tap) or self._describe(tap)).scale

    def tap_attrs(self, tap: str) -> dict[str, Any]:
        """Attributes of a tap: `stride`, `timesteps`, `frames`, `min`, `max`, `stored_dtype`, errors of int8."""
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

    def _check_frames(self, frames: slice, count: int) -> None:
        # A slice of numpy would silently give fewer frames than were asked for.
        if any(end is not None and not -count <= end <= count for end in (frames.start, frames.stop)):
            raise ConfigError(f"frames {frames.start}:{frames.stop} lie outside the {count} frames of {self.path}")

    def _describe(self, tap: str) -> _Tap:
        metadata = self._metadata(tap)
        try:
            stored: StoreDtype = metadata["attributes"]["stored_dtype"]
            rows, *shape = (int(n) for n in metadata["shape"])
            frame, channel, height, width = shape
            if min(rows, *shape) < 1:
                raise ValueError("an empty array")
            dtype = np.dtype(STORED[stored])
            scale = None
            if stored == "int8":
                scale = self._map(f"{tap}.scale/c/0/0", np.dtype("<f4"), (rows, channel), 4 * rows * channel)
            size = dtype.itemsize * frame * channel * height * width
            timesteps = tuple(metadata["attributes"]["timesteps"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._damaged(f"{tap}/zarr.json", "is damaged") from error
        known = _Tap(stored, dtype, (frame, channel, height, width), size, timesteps, scale)
        self._known[tap] = known
        return known

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
        """A private, writable view of a whole file: PyTorch warns about read-only arrays."""
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
