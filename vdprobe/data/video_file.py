"""Exact frames of a video file by index, in the order in which a player shows them."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vdprobe.data.pictures import GRAYSCALE_NOTE
from vdprobe.errors import DataError

MISSING_SECONDS = 0.5
"""Matroska files declare a duration and no frame count: ending earlier by more than this is noted."""


def count_file_frames(path: Path) -> int:
    """The number of frames in a video file, without decoding one.

    Raises `DataError` when the file cannot be opened, holds no frames, or was cut short.
    """
    container, stream = _open(path)
    with container:
        if not (_is_mov(container) and stream.frames):
            return len(_scan(path, container, stream).shown)
        # the header of an mp4 lists every frame; an edit list hides some of them
        if _ends_early(path, stream):
            raise _damage(path, stream.frames)
        return sum(not entry.is_discard for entry in stream.index_entries)


def file_frame_size(path: Path) -> tuple[int, int]:
    """(height, width) of the frames as stored; raises `DataError` when the file cannot be opened."""
    container, stream = _open(path)
    with container:
        return stream.height, stream.width


class VideoFile:
    """An open video file, kept open between frames.

    One pass over the packets finds each frame's timestamp, so that a frame is reached from the
    keyframe before it. Where timestamps cannot be trusted, frames are counted from the start.
    Raises `DataError` as `count_file_frames` does.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: dict[str, None] = {}
        self._container, self._stream = _open(path)
        try:
            self._scan = _scan(path, self._container, self._stream)
        except DataError:
            self.close()
            raise
        self.num_frames = len(self._scan.shown)
        if self._scan.note:
            self.notes[self._scan.note] = None
        self._counting = not self._scan.seekable
        self._restart()

    def where(self, index: int) -> str:
        """The frame's name for a message."""
        return f"frame {index} of {self.path}"

    def frame(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """The pixels (height, width, 3) of one frame; raises `DataError` when it does not decode."""
        frame = self._advance_to(index)
        if frame is None and not self._counting:
            self._counting = True
            self._restart()
            frame = self._advance_to(index)
        if frame is None:
            raise _damage(self.path, self._scan.declared)
        return self._to_rgb(frame, index)

    def close(self) -> None:
        """Releases the file."""
        self._container.close()

    def _restart(self) -> None:
        self.close()
        self._container, self._stream = _open(self.path)
        self._frames = self._container.decode(self._stream)
        self._next = 0

    def _seek(self, pts: int) -> None:
        self._container.seek(pts, stream=self._stream, backward=True)
        self._frames = self._container.decode(self._stream)

    def _advance_to(self, index: int) -> Any:
        import av

        try:
            if self._counting:
                if index < self._next:
                    self._restart()
            else:
                key = bisect_right(self._scan.key_indices, index) - 1
                if key < 0:
                    return None
                if index < self._next or self._scan.key_indices[key] > self._next:
                    self._seek(self._scan.key_pts[key])
            for frame in self._frames:
                position = self._next if self._counting else self._scan.position(frame.pts)
                if position is None:
                    continue
                self._next = position + 1
                if position >= index:
                    return frame if position == index and not frame.is_corrupt else None
        except av.FFmpegError:
            self._next = self.num_frames  # the decoder is of no more use: any other frame starts afresh
        return None

    def _to_rgb(self, frame: Any, index: int) -> np.ndarray:
        components = frame.format.components
        colours = [c for c in components if not c.is_alpha]
        if len(colours) == 1 and not frame.format.has_palette:
            self.notes[GRAYSCALE_NOTE] = None
        bits = max(c.bits for c in colours)
        if bits > 8 and not frame.format.has_palette:
            self.notes[f"{bits}-bit frames were reduced to 8 bits"] = None
        if frame.rotation % 360:
            self.notes["the rotation that the file asks of players was not applied: frames are used as stored"] = None
        if len(colours) == len(components):
            return np.asarray(frame.to_ndarray(format="rgb24"))
        rgba = np.asarray(frame.to_ndarray(format="rgba"))
        if rgba[..., 3].min() < 255:
            raise DataError(f"{self.where(index)} is partly transparent; flatten the video onto one colour")
        return rgba[..., :3]


@dataclass(frozen=True)
class _Scan:
    """What one pass over the packets tells.

    - `shown`: the timestamp of each frame in presentation order.
    - `seekable`: those timestamps are the ones that the decoder will give, each once.
    - `key_indices`, `key_pts`: the first frame shown from each keyframe on, and its timestamp.
    """

    shown: list[int]
    seekable: bool
    key_indices: list[int]
    key_pts: list[int]
    declared: int
    note: str | None

    def position(self, pts: int | None) -> int | None:
        """The index of the frame with this timestamp."""
        if pts is None:
            return None
        i = bisect_left(self.shown, pts)
        return i if i < len(self.shown) and self.shown[i] == pts else None


def _open(path: Path) -> tuple[Any, Any]:
    import av

    if not path.is_file():
        raise DataError(f"there is no video file {path}; check the path")
    try:
        # absolute, since FFmpeg takes what stands before a ':' for a protocol
        container = av.open(str(path.absolute()))
    except av.FFmpegError as error:
        raise DataError(
            f"{path} cannot be opened as a video ({error.strerror}); "
            "it may be cut short, or be no video: fetch or encode it again"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} has metadata that is not UTF-8; strip it (ffmpeg -map_metadata -1 -c copy)") from error
    stream = container.streams.best("video")
    if stream is None or stream.codec_context is None:
        container.close()
        lack = "no picture track" if stream is None else "a picture track for which there is no decoder"
        raise DataError(f"{path} holds {lack}; encode it again, for instance as H.264 in mp4")
    return container, stream


def _is_mov(container: Any) -> bool:
    return "mov" in container.format.name.split(",")


def _is_matroska(container: Any) -> bool:
    return "matroska" in container.format.name.split(",")


def _ends_early(path: Path, stream: Any) -> bool:
    size = path.stat().st_size
    return any(entry.pos + entry.size > size for entry in stream.index_entries)


def _scan(path: Path, container: Any, stream: Any) -> _Scan:
    import av

    packets = []
    end = 0.0
    damaged = False
    try:
        for packet in container.demux():
            if packet.pts is not None and packet.time_base:
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream_index == stream.index and packet.size:
                packets.append((packet.pts, packet.is_keyframe, packet.is_discard))
                damaged = damaged or packet.is_corrupt
    except av.FFmpegError:
        damaged = True
    declared = max(stream.frames, len(packets))
    # the packets of an mp4 may be fewer than it declares, where an edit list leaves out the rest
    short = _ends_early(path, stream) if _is_mov(container) else len(packets) < stream.frames
    if damaged or short:
        raise _damage(path, declared)
    shown = [pts for pts, _, discard in packets if not discard]
    if not shown:
        raise DataError(f"{path} holds no frames; fetch or encode it again")
    # AVI stores the order of decoding alone: where frames are shown in another order, the timestamps
    # made up from it rise from packet to packet and are not those of the pictures
    given = _is_mov(container) or _is_matroska(container)
    reordered = any(later < earlier for earlier, later in pairwise(pts for pts in shown if pts is not None))
    trusted = given or reordered or not stream.codec_context.has_b_frames
    all_pts = sorted({pts for pts in shown if pts is not None})
    keys = sorted(pts for pts, key, _ in packets if key and pts is not None)
    return _Scan(
        shown=all_pts if len(all_pts) == len(shown) else list(range(len(shown))),
        seekable=trusted and len(all_pts) == len(shown),
        key_indices=[bisect_left(all_pts, pts) for pts in keys],
        key_pts=keys,
        declared=declared,
        note=_shortfall(container, end),
    )


def _shortfall(container: Any, end: float) -> str | None:
    if not _is_matroska(container) or container.duration is None:
        return None
    seconds = container.duration / 1e6
    if end > seconds - MISSING_SECONDS:
        return None
    return f"the file ends after {end:.1f} of the {seconds:.1f} seconds it declares: it may have been cut short"


def _damage(path: Path, declared: int) -> DataError:
    return DataError(
        f"{path}: {_count_decodable(path)} of {declared} frames decode; "
        "it is damaged or was cut short: fetch or encode it again"
    )


def _count_decodable(path: Path) -> int:
    import av

    container, stream = _open(path)
    good = 0
    with container:
        # packet by packet: an error then costs the frames of one packet, and the decoder can be drained
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
                good += sum(not frame.is_corrupt for frame in packet.decode())
            except StopIteration:
                return good
            except av.EOFError:
                return good
            except av.FFmpegError:
                continue
