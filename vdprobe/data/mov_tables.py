"""The tables in the header of an mp4 or mov: whether what they declare fits into the file.

FFmpeg makes room for as many rows as a table says it has, before it reads them: a few bytes may ask for gigabytes.
"""

import mmap
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from vdprobe.errors import DataError

PARENTS = (b"moov", b"moof", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta", b"mvex", b"traf", b"wave")
"""Boxes that hold boxes alone (ISO 14496-12, table 1)."""
DEEPEST = 12
ROWS: dict[bytes, tuple[int, float]] = {
    b"stts": (4, 8),
    b"ctts": (4, 8),
    b"stss": (4, 4),
    b"stps": (4, 4),
    b"stsc": (4, 12),
    b"stco": (4, 4),
    b"co64": (4, 8),
    b"dref": (4, 12),
    b"stsd": (4, 16),
    b"elst": (4, 12),
    b"trun": (4, 0),
    b"sbgp": (8, 8),
    b"stsz": (8, 4),
    b"stz2": (8, 1),
}
"""Of a table the place of its count behind the name, and the least bytes of a row (ISO 14496-12, 8.5 to 8.9)."""
LARGEST_HEADER = 1 << 28
"""Bytes of a header that is stored compressed: that of a film of ten hours has 20 million."""
PER_BYTE = 1024
"""Samples of sound that a byte may stand for: the codecs of old QuickTime count what they decode to."""


def check_tables(path: Path) -> None:
    """Raises `DataError` where a table declares more rows or samples than the file can hold.

    What is no mp4 or mov has none of these tables, and passes.
    """
    found = path.stat()
    _check(path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)
def _check(path: Path, *_: int) -> None:
    with path.open("rb") as file:
        if not file.seek(0, 2):
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                _Walk(len(data)).through(data, 0, len(data))
            except _TooMuch as fault:
                raise DataError(f"{path} is damaged: {fault}; fetch or encode it again") from None


class _TooMuch(Exception):
    """What is declared, and what there is room for."""


@dataclass
class _Track:
    """What the tables of a track say together.

    - `runs`: rows of `stsc`: the number of a chunk, and how many samples it and the next ones hold.
    - `of_one_tick`: whether each sample lasts one tick of the clock, as those of sound that is not compressed.
    - `size`, `samples`: of samples that have all one size, in bytes, and how many there are.
    """

    chunks: int = 0
    runs: bytes = b""
    of_one_tick: bool = False
    size: int = 0
    samples: int = 0

    def in_chunks(self) -> int:
        """How many samples the chunks hold together."""
        rows = np.frombuffer(self.runs, ">u4").reshape(-1, 3).astype(np.float64)
        chunks = np.diff(rows[:, 0], append=self.chunks + 1).clip(0)
        return int(chunks @ rows[:, 1])


class _Walk:
    """Through the boxes of a file of `length` bytes."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.in_fragments = 0
        self.track = _Track()

    def through(self, data: mmap.mmap | bytes, begin: int, end: int, depth: int = 0) -> None:
        if depth > DEEPEST:
            raise _TooMuch(f"its boxes are nested more than {DEEPEST} deep")
        for name, at, stop, declared in boxes(data, begin, end):
            if name in (b"free", b"hoov") and data[at + 4 : at + 8] in (b"mvhd", b"cmov"):
                name = b"moov"  # a header that was cleared away, in which FFmpeg looks all the same
            if name in (b"moov", b"moof") and declared > stop:
                raise _TooMuch(f"its header {name.decode()} reaches {declared - stop:,} bytes past its end")
            if name == b"trak":
                self.track = _Track()
            if name in PARENTS:
                self.through(data, at, stop, depth + 1)
            elif name == b"cmov":
                packed = _unpack(data[at:stop])
                self.through(packed, 0, len(packed), depth + 1)
            elif name in ROWS:
                self.check_table(name, data, at, stop)
            if name == b"trak":
                self.check_track()

    def check_table(self, name: bytes, data: mmap.mmap | bytes, at: int, stop: int) -> None:
        head = bytes(data[at : min(at + 12, stop)]).ljust(12, b"\0")
        place, width = ROWS[name]
        count, rows = _number(head, place), at + place + 4
        if name == b"trun":
            width = 4 * (_number(head, 0) >> 8 & 15).bit_count()
            self.in_fragments += count
            self.check(f"its fragments declare {self.in_fragments:,} samples", self.in_fragments, self.length)
        elif name == b"elst" and head[0] == 1:
            width = 20
        elif name == b"stz2":
            width = head[7] / 8
        elif name == b"stsz":
            self.track.size, self.track.samples = _number(head, 4), count
            width = 0 if self.track.size else 4
        room = max(0, stop - rows)
        if count * width > room:
            most = int(room / width)
            raise _TooMuch(f"its table {name.decode()} declares {count:,} rows, and has room for {most:,}")
        if name == b"stsd":
            _check_descriptions(data, rows, stop, count)
        elif name in (b"stco", b"co64"):
            self.track.chunks = count
        elif name == b"stts":
            self.track.of_one_tick = count == 1 and _number(bytes(data[rows : rows + 8]), 4) == 1
        elif name == b"stsc":
            self.track.runs = bytes(data[rows : rows + 12 * count])

    def check_track(self) -> None:
        """The samples of a track that have all one size, which no table holds."""
        track = self.track
        if not track.size:
            return
        if track.of_one_tick:
            total = track.in_chunks()
            self.check(f"a track declares {total:,} samples", total, PER_BYTE * self.length)
        else:
            what = f"a track declares {track.samples:,} samples of {track.size:,} bytes"
            self.check(what, track.samples * track.size, self.length)

    def check(self, what: str, number: int, most: int) -> None:
        if number > most:
            raise _TooMuch(f"{what}, and it has {self.length:,} bytes")


def boxes(data: mmap.mmap | bytes, begin: int, end: int) -> Iterator[tuple[bytes, int, int, int]]:
    """(name, where its content begins, where it ends, where it should end) of the boxes between two places."""
    at = begin
    while at + 8 <= end:
        size, name, head = int.from_bytes(data[at : at + 4], "big"), bytes(data[at + 4 : at + 8]), 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        elif size == 0:
            size = end - at
        if size < head:
            return
        yield name, at + head, min(at + size, end), at + size
        at += size


def _check_descriptions(data: mmap.mmap | bytes, at: int, stop: int, count: int) -> None:
    """The descriptions of samples, each with its length (8.5.2)."""
    for _ in range(count):
        size = _number(bytes(data[at : at + 4]), 0)
        if not 8 <= size <= stop - at:
            raise _TooMuch(f"its table stsd declares a row of {size:,} bytes, and has room for {stop - at:,}")
        at += size


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def _unpack(content: bytes) -> bytes:
    """A header that is stored compressed (QuickTime File Format, "Compressed Movie Resources"), empty if it is not."""
    start = content.find(b"cmvd")
    if start < 0:
        return b""
    try:
        unpacker = zlib.decompressobj()
        out = unpacker.decompress(content[start + 8 :], LARGEST_HEADER)
    except zlib.error:
        return b""
    if unpacker.unconsumed_tail or _number(content[start + 4 : start + 8], 0) > LARGEST_HEADER:
        raise _TooMuch(f"its compressed header has more than {LARGEST_HEADER:,} bytes")
    return out
