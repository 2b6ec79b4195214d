"""`Viewer`: the answers to what the page asks, without a browser or a server."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import Float32, Integer, UInt8

from vdprobe.errors import ConfigError, DataError, VdprobeError, suggest
from vdprobe.look.cache import BoundedCache
from vdprobe.look.colours import SAMPLED, ColourBasis, colour_map, fit_colours, sample_places
from vdprobe.look.cosines import cosine_map
from vdprobe.look.decoded import DecodedClip
from vdprobe.look.features import ClipEntry, FeatureReader, SpecEntry
from vdprobe.look.geometry import Grid
from vdprobe.look.labels import carry_labels, disc, overlaps
from vdprobe.look.outlines import LONGEST, Outline, outlines
from vdprobe.look.videos import Videos
from vdprobe.look.view import View
from vdprobe.specs.features import Timestep

Pair = tuple[ClipEntry, int | None]
"""A clip and one of its timesteps."""
MEMORY = 3 << 29
"""Bytes of decoded clips that are kept by default: 1.5 GiB."""
BASIS_CLIPS = 6
"""Clips that a colour basis is fitted to, at the most."""
BASIS_BYTES = 1 << 30
"""Bytes of features that are read for one."""


@dataclass(frozen=True)
class Column:
    """What a column shows: the features of a clip at one tap and timestep."""

    clip: ClipEntry
    tap: str
    timestep: Timestep | None


@dataclass(frozen=True)
class Carried:
    """A label carried through a clip.

    - `overlaps`: the mean IoU with the masks of each frame, where the video has masks of what was carried.
    """

    objects: tuple[int, ...]
    outlines: list[list[Outline]]
    overlaps: list[float | None] | None
    nbytes: int = 1 << 16


class Viewer:
    """A store, the videos beside it, and a bounded memory of the clips that were looked at last."""

    def __init__(self, reader: FeatureReader, videos: Videos, memory: int = MEMORY) -> None:
        self.reader = reader
        self.videos = videos
        self.clips: BoundedCache[DecodedClip] = BoundedCache(memory)
        self._carried: BoundedCache[Carried] = BoundedCache(1 << 24)
        self._bases: dict[tuple[str, str], ColourBasis] = {}
        self._basis_lock, self._carrying = Lock(), Lock()

    def first_view(self) -> View:
        """What the page shows at first: the first clip of the first spec that has one; nothing where none has."""
        for spec in sorted(self.reader.specs(), key=lambda spec: not spec.timesteps):
            if entries := self.reader.clips(spec):
                entry = entries[0]
                return View(
                    spec=spec.key[:16],
                    tap=spec.taps[-1],
                    t=spec.timesteps[0] if spec.timesteps else None,
                    video=entry.video,
                    clip=entry.clip,
                    text=entry.text,
                )
        return View()

    def columns(self, view: View) -> list[Column]:
        """The one or two columns of a view. Raises `ConfigError` for what the store does not have."""
        out = [self.column(view.spec, view.video, view.clip, view.text, view.tap, view.t)]
        if view.spec2:
            out.append(self.column(view.spec2, view.video, view.clip, view.text, view.tap2, view.t2))
        return out

    def column(self, spec: str, video: str, clip: str, text: str | None, tap: str, timestep: Timestep | None) -> Column:
        """One column. Raises `ConfigError` for a spec, video, clip, tap or timestep that the store does not have."""
        entry = self.reader.spec(spec)
        if tap not in entry.taps:
            raise ConfigError(f"{entry.label} has no tap '{tap[:80]}': {suggest(tap, entry.taps)}")
        if entry.timesteps and timestep not in entry.timesteps:
            valid = ", ".join(map(str, entry.timesteps))
            raise ConfigError(f"{entry.label} has no timestep {timestep}; valid: {valid}")
        return Column(self.reader.clip(entry, video, clip, text), tap, timestep if entry.timesteps else None)

    def decoded(self, column: Column) -> DecodedClip:
        """The features of a column, from memory where they are there."""
        key = (column.clip.source.path, column.tap, column.timestep)
        return self.clips.get(key, lambda: DecodedClip(self.reader.read(column.clip, column.tap, column.timestep)))

    def colours(self, column: Column) -> tuple[UInt8[np.ndarray, "F h w 3"], Grid]:
        """The colours of a column, comparable between all clips of its spec and tap."""
        clip = self.decoded(column)
        return colour_map(clip, self.basis(column.clip.spec, column.tap)), clip.grid

    def cosines(
        self, column: Column, frame: int, x: float, y: float, *, centred: bool = False
    ) -> tuple[Float32[np.ndarray, "F h w"], Grid]:
        """The cosine of every place with the one under a point, in shares of the video's width and height.

        Raises `ConfigError` for a frame that the clip does not have.
        """
        clip = self.decoded(column)
        check_frame(column, frame)
        return cosine_map(clip, frame, clip.grid.cell(x, y), centred=centred), clip.grid

    def basis(self, spec: SpecEntry, tap: str) -> ColourBasis:
        """The colour basis of a spec and a tap: fitted once, to clips spread over those that are there then."""
        with self._basis_lock:
            if (spec.key, tap) not in self._bases:
                self._bases[spec.key, tap] = self._fit(spec, tap)
            return self._bases[spec.key, tap]

    def outlines(self, column: Column) -> tuple[tuple[int, ...], list[list[Outline]]]:
        """The objects of a clip's masks, and their outlines. Raises `DataError` for a video without masks."""
        labels = self.videos.labels(column.clip)
        objects = tuple(int(label) for label in np.unique(labels) if label)
        return objects, outlines(labels, objects)

    def carried(self, column: Column, frame: int, point: tuple[float, float] | None) -> Carried:
        """A label of one frame, carried to all others by the column's features.

        What is carried: the object under a `point` (x, y), a disc around it where there is none, and without a point
        all objects of the frame. Raises `DataError` where a frame shows no object and no point is given.
        """
        check_frame(column, frame)
        key = (column.clip.source.path, column.tap, column.timestep, frame, point)
        with self._carrying:  # one at a time: it takes a copy of all features in float32
            return self._carried.get(key, partial(self._carry, column, frame, point))

    def _carry(self, column: Column, frame: int, point: tuple[float, float] | None) -> Carried:
        clip = self.decoded(column)
        least = (clip.grid.rows, clip.grid.columns)
        try:
            truth: UInt8[np.ndarray, "F H W"] | None = self.videos.labels(column.clip, least)
        except VdprobeError:
            if point is None:
                raise
            truth = None
        given, known = self._given(clip.grid, None if truth is None else truth[frame], point)
        if not given.any():
            raise DataError("no object is in this frame; click a point to carry what is there, or choose another frame")
        masks = carry_labels(clip, given, frame)
        objects = tuple(int(label) for label in np.unique(given) if label)
        scores = overlaps(masks, truth) if known and truth is not None else None
        return Carried(objects, outlines(masks, objects), scores)

    def _given(
        self, grid: Grid, truth: Integer[np.ndarray, "H W"] | None, point: tuple[float, float] | None
    ) -> tuple[Integer[np.ndarray, "H W"], bool]:
        """The labels that are carried, and whether masks say where they are in the other frames."""
        if truth is not None:
            if point is None:
                return truth.astype(np.int64), True
            height, width = truth.shape
            under = int(truth[min(int(point[1] * height), height - 1), min(int(point[0] * width), width - 1)])
            if under:
                return np.where(truth == under, under, 0).astype(np.int64), True
            size = (height, width)
        else:
            share = LONGEST / max(grid.height, grid.width)
            size = (max(round(grid.height * share), grid.rows), max(round(grid.width * share), grid.columns))
        assert point is not None
        return disc(grid, *point, size), False

    def _fit(self, spec: SpecEntry, tap: str) -> ColourBasis:
        levels: Sequence[int | None] = spec.timesteps or (None,)
        chosen = _spread(list(product(self.reader.clips(spec), levels)), BASIS_CLIPS)
        places, read = [], 0
        for entry, level in chosen:
            clip = self.decoded(Column(entry, tap, level))
            places.append(sample_places(clip, SAMPLED // len(chosen)))
            read += clip.nbytes
            if read > BASIS_BYTES:
                break
        return fit_colours(places)


def check_frame(column: Column, frame: int) -> None:
    """Raises `ConfigError` for a frame that the clip does not have."""
    count = len(column.clip.frames)
    if not 0 <= frame < count:
        raise ConfigError(f"the clip has no frame {frame}; it has {count}, from 0 on")


def open_viewer(root: str | Path, places: Sequence[str] = (), memory: int = MEMORY) -> Viewer:
    """The viewer of a store. Raises `StoreError` where there is none, or it holds nothing."""
    reader = FeatureReader(root)
    reader.specs()
    return Viewer(reader, Videos(places), memory)


def described(viewer: Viewer) -> dict[str, Any]:
    """What the page chooses from, beside clips."""
    return {
        "store": viewer.reader.name,
        "specs": [
            {"key": s.key[:16], "label": s.label, "taps": s.taps, "timesteps": s.timesteps}
            for s in viewer.reader.specs()
        ],
    }


def _spread(entries: Sequence[Pair], count: int) -> list[Pair]:
    """`count` of them, from the first to the last, evenly."""
    if len(entries) <= count:
        return list(entries)
    return [entries[round(k * (len(entries) - 1) / (count - 1))] for k in range(count)]
