"""The chain of blocks in containers that FFmpeg reads on past damage without a word: whether it holds to its end."""

import mmap
import re
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from vdprobe.data.mov_tables import boxes

BROKEN = "the file's structure is broken {}: frames may have been lost"


def structure_note(path: Path, format: str, packets: int, tracks: int) -> str | None:
    """What is wrong with the blocks of a file, None where nothing is or its container is not known here.

    `packets` is how many of the picture track FFmpeg found, among `tracks`.
    """
    walks: dict[str, Callable[[mmap.mmap, int, int], str | None]] = {
        "gif": _gif,
        "flv": _flv,
        "matroska,webm": _matroska,
        "mpegts": _mpegts,
        "mpeg": _mpeg,
        "ogg": _ogg,
        "asf": _asf,
        "yuv4mpegpipe": _y4m,
        "mov,mp4,m4a,3gp,3g2,mj2": _mov,
    }
    walk = walks.get(format)
    if walk is None or not path.stat().st_size:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            fault = walk(data, packets, tracks)
        except (IndexError, KeyError, ValueError, struct.error):
            fault = "at its end"
    return BROKEN.format(fault) if fault else None


def _gif(data: mmap.mmap, packets: int, _: int) -> str | None:
    """GIF89a, appendix B: extensions and pictures, each a row of sub-blocks, up to a trailer."""
    at = 13 + _colours(data[10])
    pictures = 0
    while (kind := data[at]) != 0x3B:
        if kind == 0x21:
            at += 2
        elif kind == 0x2C:
            pictures += 1
            at += 10 + _colours(data[at + 9]) + 1
        else:
            return f"at byte {at}"
        last = 255
        while length := data[at]:
            if kind == 0x2C and last < 255:  # every encoder fills the sub-blocks of a picture but its last
                return f"at byte {at}"
            last = length
            at += 1 + length
        at += 1
    if at + 1 != len(data):
        return f"at byte {at}, an end with more behind it"
    return f"(it holds {pictures} pictures, of which {packets} are found)" if pictures != packets else None


def _colours(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _flv(data: mmap.mmap, *_: int) -> str | None:
    """Adobe Flash Video, annex E: each tag is followed by its length."""
    at = int.from_bytes(data[5:9], "big") + 4
    while at < len(data):
        length = 11 + int.from_bytes(data[at + 1 : at + 4], "big")
        end = at + length
        if data[at] & 0x1F not in (8, 9, 18) or int.from_bytes(data[end : end + 4], "big") != length:
            return f"at byte {at}"
        at = end + 4
    return None


SYNC, TS_PACKET = 0x47, 188


def _mpegts(data: mmap.mmap, *_: int) -> str | None:
    """ISO 13818-1: packets of 188 bytes (or with 4 or 16 more) that begin with one same byte.

    Nothing in them says how many there should be: a file that ends after a whole one cannot be told to be cut.
    """
    for size, first in ((TS_PACKET, 0), (TS_PACKET + 4, 4), (TS_PACKET + 16, 0)):
        if data[first] == SYNC and data[first + size] == SYNC:
            if len(data) % size:
                return "at its end, within a packet"
            starts = data[first::size]
            wrong = next((i for i, byte in enumerate(starts) if byte != SYNC), None)
            return None if wrong is None else f"at byte {first + wrong * size}"
    return "at its start"


def _mpeg(data: mmap.mmap, *_: int) -> str | None:
    """ISO 13818-1, 2.5.3: packs and packets with their lengths. Few files have the end code: a cut may go unnoticed."""
    at = 0
    while at < len(data):
        code, length = data[at + 3], int.from_bytes(data[at + 4 : at + 6], "big")
        if data[at : at + 3] != b"\0\0\1":
            return f"at byte {at}"
        if code == 0xB9:
            return None
        if code == 0xBA:
            at += 14 + (data[at + 13] & 7) if data[at + 4] >> 6 == 1 else 12
        elif code >= 0xBB:
            at += 6 + length
        else:
            return f"at byte {at}"
    return None


OF_STREAM, LAST = struct.Struct("<4sBBqIII"), 4


def _ogg(data: mmap.mmap, *_: int) -> str | None:
    """RFC 3533, section 6: pages with a number in their stream and a checksum; the last one of a stream says so."""
    at = 0
    numbers: dict[int, int] = {}
    unfinished: set[int] = set()
    while at < len(data):
        name, _, flags, _, stream, number, checksum = OF_STREAM.unpack_from(data, at)
        sizes = data[at + 27 : at + 27 + data[at + 26]]
        end = at + 27 + len(sizes) + sum(sizes)
        if name != b"OggS" or end > len(data) or number != numbers.get(stream, number - 1) + 1:
            return f"at byte {at}"
        if checksum != _ogg_checksum(data[at : at + 22] + bytes(4) + data[at + 26 : end]):
            return f"at byte {at}, where a checksum differs"
        numbers[stream] = number
        (unfinished.discard if flags & LAST else unfinished.add)(stream)
        at = end
    return "at its end, within a stream" if unfinished else None


MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _ogg_checksum(page: bytes) -> int:
    """That of zlib with all bits in the other order, and without its inversions."""
    mirrored = zlib.crc32(page.translate(MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


ASF_HEADER, ASF_DATA = (bytes.fromhex(f"{first}8E66CF11A6D900AA0062CE6C") for first in ("3026B275", "3626B275"))
ASF_PROPERTIES = bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365")


def _asf(data: mmap.mmap, *_: int) -> str | None:
    """Advanced Systems Format, sections 2 to 6: objects with their lengths, of which one holds packets of one size."""
    at = 0
    size = 0
    while at < len(data):
        kind, end = data[at : at + 16], at + int.from_bytes(data[at + 16 : at + 24], "little")
        if end < at + 24 or end > len(data) or (at and kind == ASF_HEADER):
            return f"at byte {at}"
        if kind == ASF_HEADER:
            place = data.find(ASF_PROPERTIES, at, end)
            size = int.from_bytes(data[place + 92 : place + 96], "little") if place >= 0 else 0
        elif kind == ASF_DATA:
            count = int.from_bytes(data[at + 40 : at + 48], "little")
            if size and count and end - at != 50 + count * size:
                return f"at byte {at}, which declares {count} packets of {size} bytes"
        at = end
    return None


CHROMA = {"420": (2, 2), "411": (4, 1), "422": (2, 1), "444": (1, 1)}
"""Columns and rows of the picture that share a colour, by the first letters of a name of it."""


def _y4m(data: mmap.mmap, *_: int) -> str | None:
    """YUV4MPEG2: a line, and frames of one size, each behind a line of its own."""
    at = data.find(b"\n") + 1
    told = {word[:1]: word[1:] for word in data[:at].decode("latin-1").split()[1:]}
    kind = re.fullmatch(r"(420|411|422|444|mono)(jpeg|mpeg2|paldv|alpha)?p?([0-9]*)", told.get("C", "420"))
    if kind is None:
        return None
    width, height = int(told["W"]), int(told["H"])
    samples = width * height * (2 if kind[2] == "alpha" else 1)
    if kind[1] in CHROMA:
        columns, rows = CHROMA[kind[1]]
        samples += 2 * -(-width // columns) * -(-height // rows)
    size = samples * (2 if int(kind[3] or 8) > 8 else 1)
    while at < len(data):
        end = data.find(b"\n", at, at + 256) + 1
        if data[at : at + 5] != b"FRAME" or not end or end + size > len(data):
            return f"at byte {at}"
        at = end + size
    return None


def _mov(data: mmap.mmap, *_: int) -> str | None:
    """ISO 14496-12, 8.2.1: one header. FFmpeg reads the first one, players too."""
    headers = [at for name, at, _, _ in boxes(data, 0, len(data)) if name == b"moov"]
    return f"at byte {headers[1] - 8}, where another film begins" if len(headers) > 1 else None


SEGMENT, CLUSTER, GROUP, BLOCK, SIMPLE = 0x18538067, 0x1F43B675, 0xA0, 0xA1, 0xA3
PARTS = {
    SEGMENT: {0x114D9B74, 0x1549A966, 0x1654AE6B, CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367, 0xEC, 0xBF},
    CLUSTER: {0xE7, 0x5854, 0xA7, 0xAB, SIMPLE, GROUP, 0xAF, 0xEC, 0xBF},
    GROUP: {BLOCK, 0xA2, 0x75A1, 0x9B, 0xFA, 0xFB, 0xFD, 0xA4, 0x75A2, 0x8E, 0xC8, 0xEC, 0xBF},
}
"""RFC 9559, section 5.1: what each of the three may hold."""


def _matroska(data: mmap.mmap, packets: int, tracks: int) -> str | None:
    at = 0
    blocks: Counter[int] = Counter()
    ends = [(len(data), 0)]
    while True:
        while len(ends) > 1 and at == ends[-1][0]:
            ends.pop()
        end, parent = ends[-1]
        if at >= end:
            break
        kind, start = _number(data, at, keep=True)
        size, start = _number(data, start)
        if size < 0:  # a live recording, which does not know its sizes
            return None
        if parent in PARTS and kind not in PARTS[parent]:
            return f"at byte {at}"
        if start + size > end:
            return f"at byte {at}, whose block reaches past the end"
        if kind in PARTS:
            ends.append((start + size, kind))
            at = start
            continue
        if kind in (BLOCK, SIMPLE) and parent in PARTS:
            track, _ = _number(data, start)
            blocks[track] += 1
        at = start + size
    if len(blocks) > tracks:
        return f"(it has {tracks} tracks, and blocks of {len(blocks)})"
    if packets in blocks.values():
        return None
    return f"({packets} blocks of its pictures are found, and no track holds as many)"


def _number(data: mmap.mmap, at: int, *, keep: bool = False) -> tuple[int, int]:
    """A number of variable length and where it ends; -1 where all its bits are set. `keep` leaves its length in."""
    first = data[at]
    length = 9 - first.bit_length()
    if length > 8 or at + length > len(data):
        raise ValueError("no number")
    value = int.from_bytes(data[at : at + length], "big")
    bare = value & (1 << 7 * length) - 1
    if keep:
        return value, at + length
    return (-1 if bare == (1 << 7 * length) - 1 else bare), at + length
