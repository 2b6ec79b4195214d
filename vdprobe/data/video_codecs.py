"""What one compressed packet says of itself: whether it shows a frame, and whether decoding may start from it.

Only codecs whose rules make both certain are known; of others nothing is said, and frames are counted by decoding.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

INTRA_ONLY = ("png", "prores", "dnxhd", "huffyuv", "ffvhuff", "utvideo", "rawvideo", "v210", "dvvideo")
"""Codecs in which a packet is one frame and needs no other."""

AV1 = ("libdav1d", "libaom-av1", "av1")
"""Decoders of AV1."""


@dataclass(frozen=True)
class Said:
    """`frames` that a packet shows, 0 or 1, None where that is not certain; whether decoding may start from it."""

    frames: int | None
    starts: bool


UNSURE = Said(None, False)


def make_reader(context: Any) -> Callable[[Any], Said]:
    """What tells of each packet what is certain, by a decoder's codec."""
    codec = context.name
    if codec in INTRA_ONLY:
        # a palette comes with the packet that changes it
        alone = context.format is not None and not context.format.has_palette
        return lambda packet: Said(1, alone)
    if codec == "mjpeg":
        return lambda packet: _mjpeg(bytes(packet))
    if codec in ("h264", "hevc"):
        length = _length_size(codec, context.extradata)
        kind = _h264 if codec == "h264" else _hevc
        return lambda packet: kind(list(_units(bytes(packet), length)))
    if codec == "vp8":
        return lambda packet: _vp8(bytes(packet))
    if codec == "vp9":
        return lambda packet: _vp9(bytes(packet))
    if codec in AV1:
        return lambda packet: _av1(bytes(packet))
    return lambda packet: UNSURE


def _mjpeg(data: bytes) -> Said:
    """ITU-T T.81, table B.1: tables of quantisation (DB) and codes (C4) hold on until others come."""
    return Said(1, b"\xff\xdb" in data and b"\xff\xc4" in data)


def _length_size(codec: str, extradata: bytes | None) -> int | None:
    """How many bytes tell the length of a unit in mp4 and Matroska; None where start codes part units."""
    place = 4 if codec == "h264" else 21
    if not extradata or extradata[0] != 1 or len(extradata) <= place:
        return None
    return (extradata[place] & 3) + 1


def _units(data: bytes, length_size: int | None) -> Iterator[bytes]:
    """The NAL units of a packet, without what parts them."""
    if length_size is None:
        yield from (unit for unit in data.split(b"\0\0\1")[1:] if unit)
        return
    at = 0
    while at + length_size < len(data):
        length = int.from_bytes(data[at : at + length_size], "big")
        at += length_size
        if length:
            yield data[at : at + length]
        at += length


def _h264(units: list[bytes]) -> Said:
    """ITU-T H.264, table 7-1: 1 to 5 are slices and 5 an IDR picture; 6 may tell a recovery point (D.2.8)."""
    kinds = {unit[0] & 31 for unit in units}
    if not kinds & {1, 2, 5}:
        return UNSURE
    exact = any(unit[0] & 31 == 6 and _recovers_at_once(unit[1:]) for unit in units)
    return Said(1, 5 in kinds or exact)


def _recovers_at_once(sei: bytes) -> bool:
    """Whether a message 6, the recovery point, has `recovery_frame_cnt` 0 and `exact_match_flag` 1."""
    at = 0
    while at + 2 < len(sei):
        kind, size = sei[at], sei[at + 1]
        if kind == 255 or size == 255:
            return False
        if kind == 6 and size:
            return sei[at + 2] & 0xC0 == 0xC0
        at += 2 + size
    return False


def _hevc(units: list[bytes]) -> Said:
    """ITU-T H.265, table 7-1: 0 to 31 are slices; 16 to 21 a picture from which all that is shown later decodes."""
    kinds = {unit[0] >> 1 & 63 for unit in units}
    slices = {kind for kind in kinds if kind < 32}
    return Said(1, all(16 <= kind <= 21 for kind in slices)) if slices else UNSURE


def _vp8(data: bytes) -> Said:
    """RFC 6386, section 9.1: bit 0 is off in a key frame, bit 4 on in a frame that is shown."""
    return Said(data[0] >> 4 & 1, not data[0] & 1)


def _vp9(data: bytes) -> Said:
    """VP9 bitstream, 6.2 and annex B: a packet may hold several frames, one of them shown."""
    said = [_vp9_frame(frame) for frame in _vp9_frames(data)]
    shown = [frame for frame in said if frame.frames]
    if not said or any(frame.frames is None for frame in said) or len(shown) > 1:
        return UNSURE
    return Said(len(shown), said[0].starts)


def _vp9_frames(data: bytes) -> list[bytes]:
    last = data[-1]
    count, width = (last & 7) + 1, (last >> 3 & 3) + 1
    index = 2 + count * width
    if last & 0xE0 != 0xC0 or len(data) < index or data[-index] != last:
        return [data]
    sizes = data[-index + 1 : -1]
    frames, at = [], 0
    for i in range(count):
        size = int.from_bytes(sizes[i * width : (i + 1) * width], "little")
        frames.append(data[at : at + size])
        at += size
    return frames


def _vp9_frame(data: bytes) -> Said:
    if not data or data[0] >> 6 != 2:
        return UNSURE
    bits = f"{data[0]:08b}"[2:]
    profile = int(bits[1] + bits[0], 2)
    bits = bits[3:] if profile == 3 else bits[2:]
    if bits[0] == "1":  # shows a frame decoded before
        return Said(1, False)
    return Said(int(bits[2]), bits[1] == "0")


SEQUENCE, FRAME_HEADER, FRAME = 1, 3, 6


def _av1(data: bytes) -> Said:
    """AV1 bitstream, 5.3 and 5.9: a packet is a temporal unit, in which one frame is shown; a key frame that is shown
    resets all that later ones refer to.
    """
    shown, first = 0, None
    for kind, layered, content in _av1_units(data):
        if layered or (kind == SEQUENCE and content[0] & 8):  # of several layers one is chosen; or of a still picture
            return UNSURE
        if kind in (FRAME_HEADER, FRAME):
            again, key, now = content[0] >> 7, not content[0] >> 5 & 3, content[0] >> 4 & 1
            shown += again or now
            first = bool(not again and key and now) if first is None else first
    return Said(1, bool(first)) if shown == 1 else UNSURE


def _av1_units(data: bytes) -> Iterator[tuple[int, bool, bytes]]:
    """(kind, whether it is of an upper layer, content) of the open bitstream units; ends where they make no sense."""
    at = 0
    while at < len(data):
        head, layered = data[at], False
        at += 1
        if head & 4 and at < len(data):
            layered = bool(data[at] & 0x18)
            at += 1
        size = len(data) - at
        if head & 2:
            size, place = 0, 0
            while at < len(data) and place < 56:
                byte = data[at]
                at += 1
                size |= (byte & 127) << place
                place += 7
                if not byte & 128:
                    break
        if size > len(data) - at:
            return
        if size:
            yield head >> 3 & 15, layered, data[at : at + size]
        at += size
