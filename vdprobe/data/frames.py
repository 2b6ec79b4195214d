"""Frames of a video by index, whatever the video is made of."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vdprobe.data.pictures import picture_size, picture_turn, read_picture
from vdprobe.data.video import Video
from vdprobe.data.video_file import VideoFile, count_file_frames, file_frame_size, file_turn
from vdprobe.errors import DataError

CHUNK = 1 << 20


def count_frames(video: Video) -> int:
    """The number of frames, without decoding one; raises `DataError` when there are none."""
    if video.frame_names is None:
        return count_file_frames(video.source)
    return _Folder(video).num_frames


def frame_size(video: Video, index: int) -> tuple[int, int]:
    """(height, width) of a frame, without decoding it; raises `DataError` when there is no such frame."""
    count = count_frames(video)
    if not 0 <= index < count:
        raise DataError(f"video '{video.id}' ({video.source}) has no frame {index}; it has {count}, from 0 on")
    if video.frame_names is None:
        return file_frame_size(video.source, rotate=video.rotate)
    width, height = picture_size(video.source / video.frame_names[index], rotate=video.rotate)
    return height, width


def content_digest(video: Video) -> str:
    """SHA-256 of the encoded bytes, 64 hex digits: other pixels, other digest.

    Of a file as it is; of a folder, of the name, length and bytes of each frame in order. Where frames are turned as
    their file asks, also of how; other digests are as if there were no such thing. Raises `DataError` when a file
    cannot be read.
    """
    digest = hashlib.sha256()
    if video.frame_names is None:
        _digest_file(digest.update, video.source)
        if video.rotate and (turn := file_turn(video.source)):
            digest.update(f"\0turned {turn}".encode())
    else:
        for path in _Folder(video).paths:
            _digest_file(digest.update, path, header=True)
            if video.rotate and (turn := picture_turn(path)):
                digest.update(f"\0turned {turn}".encode())
    return digest.hexdigest()


def _digest_file(update: Callable[[bytes], None], path: Path, *, header: bool = False) -> None:
    try:
        with path.open("rb") as file:
            if header:
                # no name holds a NUL, so no two folders spell the same bytes
                length = os.fstat(file.fileno()).st_size
                update(os.fsencode(path.name) + b"\0%d\0" % length)
            while chunk := file.read(CHUNK):
                update(chunk)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; fetch it again or check the path") from error


class FrameReader:
    """Reads frames of one video; a context manager that keeps a video file open between reads.

    `num_frames` is the number of frames. Raises `DataError` when the video is missing, empty,
    damaged or cut short.
    """

    def __init__(self, video: Video) -> None:
        self.video = video
        self._source = VideoFile(video.source, rotate=video.rotate) if video.frame_names is None else _Folder(video)
        self.num_frames = self._source.num_frames
        self._first: tuple[int, tuple[int, ...]] | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to the frames read so far and is worth telling, each once."""
        return tuple(self._source.notes)

    def read(self, indices: Sequence[int]) -> UInt8[np.ndarray, "frames height width 3"]:
        """The RGB frames (frame, height, width, 3) at `indices`, in their order; indices may repeat.

        Raises `DataError` for an index outside the video, a frame that does not decode, or a frame
        of another size than the first one read.
        """
        if not indices:
            raise DataError(f"video '{self.video.id}': no frame was asked for; give at least one index")
        for index in indices:
            if not 0 <= index < self.num_frames:
                raise DataError(
                    f"video '{self.video.id}' ({self.video.source}) has no frame {index}; "
                    f"it has {self.num_frames}, numbered from 0 to {self.num_frames - 1}"
                )
        found = {index: self._frame(index) for index in sorted(set(indices))}
        return np.stack([found[index] for index in indices])

    def _frame(self, index: int) -> np.ndarray:
        pixels = self._source.frame(index)
        if self._first is None:
            self._first = index, pixels.shape
        first, (height, width, _) = self._first
        if pixels.shape[:2] != (height, width):
            raise DataError(
                f"{self._source.where(index)} is {pixels.shape[1]}x{pixels.shape[0]} pixels and "
                f"{self._source.where(first)} is {width}x{height}; bring the frames of a video to one size"
            )
        return pixels

    def close(self) -> None:
        """Releases the file."""
        self._source.close()

    def __enter__(self) -> "FrameReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Folder:
    """The frames of a folder, with the interface of `VideoFile`."""

    def __init__(self, video: Video) -> None:
        if not video.source.is_dir():
            raise DataError(f"there is no folder of frames {video.source}; check the path")
        if not video.frame_names:
            raise DataError(f"video '{video.id}' ({video.source}) has no frames; add them or remove the video")
        self.paths = [video.source / name for name in video.frame_names]
        self.num_frames = len(self.paths)
        self.rotate = video.rotate
        self.notes: dict[str, None] = {}

    def where(self, index: int) -> str:
        return str(self.paths[index])

    def frame(self, index: int) -> np.ndarray:
        pixels, notes = read_picture(self.paths[index], rotate=self.rotate)
        self.notes.update(dict.fromkeys(notes))
        return pixels

    def close(self) -> None:
        """Nothing stays open."""
