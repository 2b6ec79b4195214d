"""The compressed packets of a video file: which hold a frame that is shown, and from which decoding may start."""

import zlib
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median_low
from typing import Any

from vdprobe.data.container_walks import structure_note
from vdprobe.data.video_codecs import make_reader
from vdprobe.data.video_container import is_matroska, is_mov
from vdprobe.errors import DataError

MISSING_SECONDS = 0.5
"""A track that ends earlier than its file declares by more than this is noted: the sound may be a bit longer."""

LONGER = 1.75
"""A time to the next frame is a gap when it is this many times the usual one."""

Mark = tuple[int | None, int, int]


@dataclass(frozen=True)
class Packets:
    """What one pass over a file's packets tells.

    - `marks`: timestamp, length and checksum of each, by which a packet is known again after a seek.
    - `starts`: those from which decoding gives the same frames as from the start, by the rules of their codec.
    - `order`: the number of the packet of each frame, in the order of their times; None where those are not known.
    - `certain`: each of those holds one frame, and they are shown in this order; else only decoding tells. It is not
      where the file begins in the middle of a film, or its times have gaps: what refers to lost frames may not decode.
    - `declared`: how many frames the file says it has, at least the number of packets.
    """

    marks: tuple[Mark, ...]
    starts: frozenset[int]
    order: tuple[int, ...] | None
    certain: bool
    declared: int
    damaged: bool
    notes: tuple[str, ...]


def mark(packet: Any) -> Mark:
    """What tells a packet from others of its file."""
    return packet.pts, packet.size, zlib.crc32(packet)


def picture_packets(container: Any, stream: Any) -> Iterator[Any]:
    """The packets of a stream from where the file stands on, without empty ones."""
    return (packet for packet in container.demux(stream) if packet.size)


def scan_packets(path: Path, container: Any, stream: Any) -> Packets:
    """Reads all packets without decoding; raises `DataError` when there are none."""
    reader = make_reader(stream.codec_context)
    marks: list[Mark] = []
    shown: list[int] = []
    starts = set()
    certain, damaged, end = True, False, 0.0
    try:
        for packet in picture_packets(container, stream):
            damaged = damaged or packet.is_corrupt
            if packet.pts is not None and packet.time_base:
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            said = reader(packet)
            certain = certain and said.frames is not None
            if said.frames != 0 and not packet.is_discard:
                shown.append(len(marks))
            if said.starts and packet.is_keyframe and packet.pts is not None:
                starts.add(len(marks))
            marks.append(mark(packet))
    except Exception:  # whatever FFmpeg makes of damage
        damaged = True
    if not marks:
        raise DataError(f"{path} holds no frames; fetch or encode it again")
    order = _order(marks, shown, stream, given=is_mov(container) or is_matroska(container))
    whole = 0 in starts or stream.codec_context.codec.intra_only
    gaps = _find_gaps([pts for pts, _, _ in marks if pts is not None])
    return Packets(
        marks=tuple(marks),
        starts=frozenset(starts),
        order=order,
        certain=certain and order is not None and whole and not gaps.count,
        declared=max(stream.frames, len(marks)),
        damaged=damaged or _is_cut(path, container, stream, len(marks)),
        notes=tuple(_notes(path, container, stream, len(marks), gaps, end)),
    )


def _order(marks: list[Mark], shown: list[int], stream: Any, *, given: bool) -> tuple[int, ...] | None:
    """The shown packets by timestamp, where a container stores timestamps or no frame waits for another."""
    if not given and not stream.codec_context.codec.intra_only:
        return None
    times = {number: pts for number in shown if (pts := marks[number][0]) is not None}
    if len(times) < len(shown) or len(set(times.values())) < len(shown):
        return tuple(shown) if stream.codec_context.codec.intra_only else None
    return tuple(sorted(shown, key=times.__getitem__))


def _is_cut(path: Path, container: Any, stream: Any, packets: int) -> bool:
    """Whether the container's own table of contents reaches past the end of the file."""
    size = path.stat().st_size
    if is_mov(container):
        return any(entry.pos + entry.size > size for entry in stream.index_entries)
    # a recorder that drops frames leaves empty ones: fewer packets than declared, and yet all of them
    return container.format.name == "avi" and packets < stream.frames and not _is_closed(path, size)


def _is_closed(path: Path, size: int) -> bool:
    """Whether the chunks of an AVI file end where it does: one, or of a long recording several."""
    end = 0
    with path.open("rb") as file:
        while end + 8 <= size:
            file.seek(end)
            head = file.read(8)
            length = int.from_bytes(head[4:], "little")
            if head[:4] != b"RIFF":
                break
            if not length:  # never written: the recording was broken off
                return False
            end += 8 + length + length % 2
    return end <= size + 1


@dataclass(frozen=True)
class _Gaps:
    """`count` times to the next frame longer than the `usual` one beyond rounding; `late` if the first frame is."""

    count: int
    usual: int
    late: bool


def _find_gaps(times: list[int]) -> _Gaps:
    steps = [later - earlier for earlier, later in pairwise(sorted(set(times)))]
    usual = median_low(steps) if steps else 0
    most = LONGER * usual + 1
    return _Gaps(sum(step > most for step in steps), usual, bool(steps) and min(times) > most)


def _notes(path: Path, container: Any, stream: Any, packets: int, gaps: _Gaps, end: float) -> Iterator[str]:
    if packets < stream.frames:
        why = "an edit list leaves them out" if is_mov(container) else "the recorder dropped them"
        yield f"{stream.frames - packets} of {stream.frames} declared frames are empty: {why}"
    ratio = stream.sample_aspect_ratio
    if ratio and abs(ratio - 1) > 0.01:
        yield f"pixels are not square ({ratio.numerator}:{ratio.denominator}): frames are used as stored"
    yield from _other_tracks(container, stream)
    if broken := structure_note(path, container.format.name, packets, len(container.streams)):
        yield broken
    timed = is_matroska(container) or container.format.name in ("flv", "asf")
    if timed and container.duration is not None:
        seconds = container.duration / 1e6
        # the sound of a film may be longer than its pictures
        alone = len(container.streams) == 1
        missing = (
            min(MISSING_SECONDS, float((LONGER * gaps.usual + 1) * stream.time_base)) if alone else MISSING_SECONDS
        )
        if end < seconds - missing:
            yield f"the file ends after {end:.1f} of the {seconds:.1f} seconds it declares: it may have been cut short"
            return
    if gaps.count:
        yield f"the times of its frames have gaps ({gaps.count}): the rate varies, or frames were lost"
    if timed and gaps.late:
        yield "its first frame is later than its start: frames may have been lost"


def _other_tracks(container: Any, stream: Any) -> Iterator[str]:
    from av.stream import Disposition

    pictures = [track for track in container.streams.video if not track.disposition & Disposition.attached_pic]
    if len(pictures) > 1:
        number = [track.index for track in pictures].index(stream.index) + 1
        yield f"it holds {len(pictures)} tracks of pictures, of which number {number} is read"


def rank_of_starts(order: tuple[int | None, ...], starts: frozenset[int]) -> tuple[tuple[int, int], ...]:
    """(index of a frame, number of its packet) where decoding may start: no later frame is in an earlier packet."""
    out = []
    least = max((number for number in order if number is not None), default=0) + 1
    for rank in range(len(order) - 1, -1, -1):
        number = order[rank]
        if number is None:
            return ()
        if number in starts and number < least:
            out.append((rank, number))
        least = min(least, number)
    return tuple(out[::-1])


def last_start(ranks: tuple[tuple[int, int], ...], index: int) -> tuple[int, int]:
    """The nearest start at or before a frame; (0, 0) is the start of the file."""
    place = bisect_left(ranks, (index + 1, -1))
    return ranks[place - 1] if place else (0, 0)
