"""The frames and masks beside stored features: a store holds neither, and says where they were found."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vdprobe.data.frames import FrameReader, content_digest
from vdprobe.data.masks import VOID, read_labels, read_object_mask
from vdprobe.data.sources import find_videos
from vdprobe.data.video import Video
from vdprobe.errors import DataError, VdprobeError
from vdprobe.look.features import ClipEntry
from vdprobe.look.outlines import shrunk

LONGEST = 960
"""Pixels of the longer side of a frame that is shown."""
OPEN = 4
"""Videos that are kept open."""
OPTIONS = ("layout", "split", "expressions", "masks", "rotate")
"""Of `find_videos`, as a spec's provenance holds them."""


@dataclass(frozen=True)
class Picture:
    """A frame as JPEG."""

    jpeg: bytes
    width: int
    height: int


class Videos:
    """Finds videos by id, in the places that were given first, and else where their extraction found them.

    - `places`: files, folders or datasets, as `vdprobe extract --videos` takes them.
    """

    def __init__(self, places: Sequence[str | Path] = ()) -> None:
        self._places = [{"path": str(place)} for place in places]
        self._found: dict[str, dict[str, Video]] = {}
        self._same: dict[tuple[str, str], bool] = {}
        self._readers: dict[Video, FrameReader] = {}
        self._lock = Lock()
        for place in self._places:  # a place that is given and cannot be read is an error at once
            self._search(place)

    def find(self, clip: ClipEntry) -> Video:
        """The video of a clip. Raises `DataError` where it is nowhere, or has other frames than those extracted."""
        places = [*self._places, *([dict(clip.spec.videos)] if clip.spec.videos.get("path") else [])]
        other = None
        for place in places:
            try:
                video = self._search(place).get(clip.video)
            except (VdprobeError, TypeError, ValueError):  # of options that another version wrote
                continue
            if video is not None:
                if self._is_same(video, clip.digest):
                    return video
                other = video
        if other is not None:
            raise DataError(
                f"{other.source} holds other frames than those whose features are stored; give the folder of those "
                "as --videos"
            )
        known = ", ".join(str(place["path"]) for place in places) or "no known place"
        raise DataError(f"video '{clip.video}' is not in {known}; give its folder as --videos")

    def frame(self, clip: ClipEntry, number: int) -> Picture:
        """A frame of a clip by its number in the clip. Raises `DataError` where it cannot be read."""
        pixels = self.pixels(clip, [number])[0]
        image = Image.fromarray(pixels)
        image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        image.save(out, "JPEG", quality=88)
        return Picture(out.getvalue(), *image.size)

    def pixels(self, clip: ClipEntry, numbers: Sequence[int]) -> UInt8[np.ndarray, "n H W 3"]:
        """Frames of a clip, as they are stored. Raises `DataError` where they cannot be read."""
        video = self.find(clip)
        with self._lock:
            if video not in self._readers:
                while len(self._readers) >= OPEN:
                    self._readers.pop(next(iter(self._readers))).close()
                self._readers[video] = FrameReader(video)
            return self._readers[video].read([clip.frames[number] for number in numbers])

    def labels(self, clip: ClipEntry, least: tuple[int, int] = (1, 1)) -> UInt8[np.ndarray, "F _ _"]:
        """The object that each pixel of a clip's frames shows, made smaller; 0 where there is none.

        Raises `DataError` for a video without masks.
        """
        video = self.find(clip)
        if isinstance(video.annotations, Path) or video.annotations is None:
            labels = read_labels(video, clip.frames)
            return shrunk(np.where(labels == VOID, 0, labels), least)
        ids = dict.fromkeys(id for expression in video.expressions for id in expression.object_ids or ())
        out = None
        for label, one in enumerate(list(ids)[: VOID - 1], start=1):
            mask = read_object_mask(video, [one], clip.frames)
            out = np.zeros(mask.shape, np.uint8) if out is None else out
            out[mask] = label
        if out is None:
            raise DataError(f"video '{video.id}' has no expression that names an object, and so no mask to show")
        return shrunk(out, least)

    def _search(self, place: Mapping[str, Any]) -> dict[str, Video]:
        key = str(sorted((name, str(value)) for name, value in place.items()))
        with self._lock:
            if key not in self._found:
                options = {name: place[name] for name in OPTIONS if place.get(name) is not None}
                found = find_videos(place["path"], **options)
                self._found[key] = {video.id: video for video in found.videos}
            return self._found[key]

    def _is_same(self, video: Video, digest: str) -> bool:
        key = (str(video.source), digest)
        if key not in self._same:
            self._same[key] = content_digest(video) == digest
        return self._same[key]
