"""The frames of a video file before any is asked for: how many, in which packets, and how they are turned."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from vdprobe.data.orientation import UPRIGHT, Orientation, matrix_orientation
from vdprobe.data.video_container import faults_of, open_container
from vdprobe.data.video_packets import Mark, mark, picture_packets, rank_of_starts, scan_packets
from vdprobe.errors import DataError


@dataclass(frozen=True)
class VideoIndex:
    """What is known of a file once it has been looked through.

    - `order`: the number of the packet of each frame, in the order in which frames are shown.
    - `starts`: (index of a frame, number of its packet) from which decoding may start.
    - `hidden_alpha`: a transparency stored beside the pictures, which the decoder does not look at.
    - `height`, `width`, `matrix`: of the first frame, as stored; the display matrix is empty where there is none.
    """

    marks: tuple[Mark, ...]
    order: tuple[int | None, ...]
    starts: tuple[tuple[int, int], ...]
    declared: int
    hidden_alpha: bool
    height: int
    width: int
    matrix: bytes
    notes: tuple[str, ...]

    @property
    def num_frames(self) -> int:
        """How many frames there are."""
        return len(self.order)

    def number_of(self, found: Mark) -> int:
        """The number of the packet with this mark; raises `LookupError` when it is not one."""
        numbers = [number for number, known in enumerate(self.marks) if known == found]
        if len(numbers) != 1:
            raise LookupError("after a seek stands a packet that is not known")
        return numbers[0]


def index_video(path: Path) -> VideoIndex:
    """Looks through a file, once as long as it does not change.

    Packets are only decoded where they do not tell how many frames they hold and in which order. Raises `DataError`
    when the file cannot be opened, holds no frames, is damaged or was cut short.
    """
    return _index(path, *_version(path))


def count_video_frames(path: Path) -> int:
    """The number of frames of a file, which is remembered for longer than its index."""
    return _count(path, *_version(path))


def _version(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise DataError(f"there is no video file {path}; check the path") from error
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=4096)
def _count(path: Path, *version: int) -> int:
    return _index(path, *version).num_frames


@lru_cache(maxsize=4)
def _index(path: Path, *_: int) -> VideoIndex:
    container, stream = open_container(path)
    with container:
        packets = scan_packets(path, container, stream)
        hidden_alpha = stream.metadata.get("alpha_mode", "0") not in ("", "0")
    if packets.damaged:
        raise damage(path, packets.declared)
    order: tuple[int | None, ...] | None = packets.order
    notes = packets.notes
    if not packets.certain:
        found, faults = decode_order(path)
        if not faults:
            order = found
            if len(found) < len(packets.marks):
                empty = len(packets.marks) - len(found)
                notes += (f"{empty} of {len(packets.marks)} packets hold no frame of their own",)
        elif order is None:
            raise damage(path, packets.declared)
        else:  # the times tell which frames there should be, and reading a damaged one is an error
            notes += (f"{faults} of {len(packets.marks)} packets are damaged",)
    if not order:
        raise DataError(f"{path} holds no frames; fetch or encode it again")
    first = _first_frame(path, packets.declared)
    return VideoIndex(
        packets.marks,
        order,
        rank_of_starts(order, packets.starts),
        packets.declared,
        hidden_alpha,
        first.height,
        first.width,
        display_matrix(first),
        notes,
    )


def decode_packets(packets: Iterable[tuple[int, Any]], codec: Any) -> Iterator[tuple[int | None, Any]]:
    """The frames of numbered packets in the order in which they are shown, each with its packet's number.

    The number is None where a decoder does not tell.
    """
    for number, packet in packets:
        yield from decode_packet(number, packet, codec)
    yield from decode_packet(None, None, codec)


def decode_packet(number: int | None, packet: Any, codec: Any) -> Iterator[tuple[int | None, Any]]:
    """The frames that come once a packet is given, with the numbers of their packets; without one the last."""
    if packet is not None:
        packet.opaque = [number]  # PyAV knows an opaque by its identity, which small numbers share
    for frame in codec.decode(packet):
        yield frame.opaque[0] if frame.opaque is not None else None, frame


def decode_order(path: Path) -> tuple[tuple[int | None, ...], int]:
    """The numbers of the packets of all frames in the order in which they come, and how many faults there were."""
    container, stream = open_container(path)
    order: list[int | None] = []
    faults = 0
    with container:
        packets = enumerate(picture_packets(container, stream))
        packet: Any = True
        while packet is not None:
            # packet by packet: an error then costs the frames of one packet, and the decoder can be drained
            try:
                number, packet = next(packets, (None, None))
                for found, frame in decode_packet(number, packet, stream.codec_context):
                    faults += frame.is_corrupt
                    if not frame.is_corrupt:
                        order.append(found)
            except Exception:  # whatever FFmpeg makes of damage
                faults += 1
    return tuple(order), faults


def damage(path: Path, declared: int) -> DataError:
    """Says how much of a damaged file decodes."""
    order, _ = decode_order(path)
    return DataError(
        f"{path}: {len(order)} of {declared} frames decode; it is damaged or was cut short: fetch or encode it again"
    )


def display_matrix(frame: Any) -> bytes:
    """How a frame asks to be turned, empty where it does not."""
    found = frame.side_data.get("DISPLAYMATRIX")
    return bytes(found) if found is not None else b""


def orientation(path: Path, index: VideoIndex) -> Orientation:
    """How the frames of a file are turned for showing; raises `DataError` for an angle between."""
    return matrix_orientation(index.matrix, str(path)) if index.matrix else UPRIGHT


def _first_frame(path: Path, declared: int) -> Any:
    container, stream = open_container(path)
    with container:
        try:
            with faults_of(path, "cannot be decoded"):
                return next(decode_packets(enumerate(picture_packets(container, stream)), stream.codec_context))[1]
        except (DataError, StopIteration) as error:
            raise damage(path, declared) from error


def check_mark(path: Path, index: VideoIndex, number: int, packet: Any) -> None:
    """Raises `DataError` when a packet is not the one that was there when the file was looked through."""
    if number >= len(index.marks) or mark(packet) != index.marks[number]:
        raise DataError(f"{path} changed while it was read; read it again")
