"""Exact frames of a video file by index, in the order in which a player shows them."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vdprobe.data.orientation import STORED_NOTE, TURNED_NOTE, UPRIGHT
from vdprobe.data.picture_size import check_picture_size
from vdprobe.data.video_container import faults_of, open_container
from vdprobe.data.video_index import (
    check_mark,
    count_video_frames,
    damage,
    decode_order,
    decode_packets,
    display_matrix,
    index_video,
    orientation,
)
from vdprobe.data.video_packets import last_start, mark, picture_packets
from vdprobe.data.video_pixels import to_rgb
from vdprobe.errors import DataError


def count_file_frames(path: Path) -> int:
    """The number of frames in a video file.

    Raises `DataError` when the file cannot be opened, holds no frames, is damaged or was cut short.
    """
    return count_video_frames(path)


def file_frame_size(path: Path, *, rotate: bool = True) -> tuple[int, int]:
    """(height, width) of the frames, turned as the file asks if `rotate`; raises `DataError` as the count does."""
    index = index_video(path)
    turn = orientation(path, index) if rotate else UPRIGHT
    return turn.size(index.height, index.width)


def file_turn(path: Path) -> str:
    """A name for how the file asks its frames to be turned, empty where it does not."""
    return orientation(path, index_video(path)).name


class VideoFile:
    """An open video file, kept open between frames.

    A frame is the n-th that comes when the file is decoded from its start. It is reached from the last packet from
    which its codec promises the same frames; each packet after a seek is compared with the one found there when the
    file was looked through, and each decoded frame with the packet that it must come from. Where nothing is promised,
    or anything differs, frames are counted from the start. `rotate` turns frames as the file asks of players. Raises
    `DataError` as `count_file_frames` does.
    """

    def __init__(self, path: Path, *, rotate: bool = True) -> None:
        self.path, self.rotate = path, rotate
        self._index = index_video(path)
        self.num_frames = self._index.num_frames
        self.notes: dict[str, None] = dict.fromkeys(self._index.notes)
        self._follow(self._index.order, self._index.starts)
        self._turn = orientation(path, self._index) if rotate else UPRIGHT
        self._container: Any = None
        self._next = 0

    def where(self, index: int) -> str:
        """The frame's name for a message."""
        return f"frame {index} of {self.path}"

    def frame(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """The pixels (height, width, 3) of one frame; raises `DataError` when it does not decode."""
        frame = self._reach(index)
        if frame is None and self._starts:
            self._follow(self._order, ())
            frame = self._reach(index)
        if frame is None and self._order == self._index.order:
            # without damage, and yet in another order than their times say: that of the decoder holds
            order, faults = decode_order(self.path)
            if not faults and len(order) == self.num_frames and order != self._order:
                self._follow(order, ())
                frame = self._reach(index)
        if frame is None:
            raise damage(self.path, self._index.declared)
        return self._pixels(frame, index)

    def close(self) -> None:
        """Releases the file."""
        if self._container is not None:
            self._container.close()

    def _follow(self, order: tuple[int | None, ...], starts: tuple[tuple[int, int], ...]) -> None:
        """Takes up an order of frames, and where decoding may start."""
        self._order, self._starts = order, starts
        self._rank = {number: rank for rank, number in enumerate(order)}
        self._frames: Iterator[tuple[int, Any]] | None = None

    def _reach(self, index: int) -> Any:
        """The decoded frame, None where another comes in its place or none at all."""
        rank, number = last_start(self._starts, index)
        if self._frames is None or index < self._next or rank > self._next:
            self._frames = self._decode(rank, number)
        try:
            for found, frame in self._frames:
                self._next = found + 1
                if found == index:
                    return frame
        except Exception as error:  # whatever FFmpeg makes of damage
            if isinstance(error, DataError):
                raise
        self._frames = None
        return None

    def _decode(self, rank: int, number: int) -> Iterator[tuple[int, Any]]:
        """Frames with their indices from `rank` on, which is in packet `number`; ends where another frame comes."""
        self.close()
        self._container, stream = open_container(self.path)
        packets = self._packets(stream, number)
        for found, frame in decode_packets(packets, stream.codec_context):
            if number and self._rank.get(found, -1) < rank:
                continue  # shown before the frame from which decoding started, and made without what came before
            if rank >= len(self._order) or found != self._order[rank] or frame.is_corrupt:
                return
            yield rank, frame
            rank += 1

    def _packets(self, stream: Any, number: int) -> Iterator[tuple[int, Any]]:
        """Packets with their numbers from `number` on, each compared with what was found there before."""
        first_number = 0
        packets = picture_packets(self._container, stream)
        if number:
            self._container.seek(self._index.marks[number][0], stream=stream, backward=True)
            first = next(packets)
            first_number = self._index.number_of(mark(first))
            packets = chain([first], packets)
        for at, packet in enumerate(packets, first_number):
            check_mark(self.path, self._index, at, packet)
            if at >= number:
                yield at, packet

    def _pixels(self, frame: Any, index: int) -> np.ndarray:
        if display_matrix(frame) != self._index.matrix:
            raise DataError(f"{self.where(index)} asks players for another rotation than frame 0; encode it upright")
        if self._index.hidden_alpha:
            raise DataError(
                f"{self.where(index)} may be partly transparent (alpha_mode); flatten the video onto one colour"
            )
        check_picture_size(self.where(index), frame.width, frame.height)
        with faults_of(self.path, "cannot be converted to RGB"):
            pixels = to_rgb(frame, self.where(index), self.notes)
        if self._index.matrix and not self.rotate:
            self.notes[STORED_NOTE] = None
        if self._turn != UPRIGHT:
            self.notes[TURNED_NOTE] = None
        return self._turn.apply(pixels)
