"""What the tables of an mp4 or mov declare is compared with the file before FFmpeg makes room for it."""

import struct
import zlib

import pytest
from synthetic_media import write_video

from vdprobe.data.mov_tables import check_tables
from vdprobe.data.video_file import VideoFile, count_file_frames
from vdprobe.errors import DataError


@pytest.fixture(scope="module")
def movs(tmp_path_factory):
    """A film as it is usually written, and one in fragments."""
    folder = tmp_path_factory.mktemp("mov")
    plain = write_video(folder / "plain.mov", 12)
    parts = write_video(folder / "parts.mp4", 12, movflags="frag_keyframe+empty_moov+default_base_moof")
    return {"plain": plain.read_bytes(), "parts": parts.read_bytes()}


def set_number(content: bytes, box: bytes, place: int, value: int) -> bytes:
    """A number that stands so many bytes behind the name of a box becomes another."""
    at = content.index(box) + 4 + place
    return content[:at] + struct.pack(">I", value) + content[at + 4 :]


@pytest.mark.parametrize(
    ("film", "box", "place", "value", "told"),
    [
        ("plain", b"stts", 4, 1_000_001, "its table stts declares 1,000,001 rows, and has room for 1"),
        ("plain", b"ctts", 4, 2**24, "its table ctts declares 16,777,216 rows, and has room for 11"),
        ("plain", b"stss", 4, 2**31, "its table stss declares 2,147,483,648 rows, and has room for 1"),
        ("plain", b"stsz", 8, 13, "its table stsz declares 13 rows, and has room for 12"),
        ("plain", b"stsc", 4, 9, "its table stsc declares 9 rows, and has room for 1"),
        ("plain", b"stco", 4, 2, "its table stco declares 2 rows, and has room for 1"),
        ("plain", b"stsd", 8, 10**8, "its table stsd declares a row of 100,000,000 bytes, and has room for"),
        ("plain", b"elst", 4, 10**8, "its table elst declares 100,000,000 rows"),
        ("plain", b"stsz", 4, 10**8, "a track declares 12 samples of 100,000,000 bytes, and it has"),
        ("parts", b"trun", 4, 10**8, "its fragments declare 100,000,000 samples, and it has"),
        ("parts", b"trun", 4, 100, "its table trun declares 100 rows, and has room for"),
        ("plain", b"moov", -8, 2**31, "its header moov reaches 2,147,"),
    ],
)
def test_more_than_a_file_can_hold_is_refused_before_it_is_made_room_for(movs, tmp_path, film, box, place, value, told):
    path = tmp_path / "a.mov"
    path.write_bytes(set_number(movs[film], box, place, value))
    with pytest.raises(DataError, match=rf"a\.mov is damaged: {told}.*; fetch or encode it again"):
        count_file_frames(path)


def test_equal_samples_are_as_many_as_the_file_has_bytes_for(movs, tmp_path):
    path = tmp_path / "a.mov"
    path.write_bytes(set_number(set_number(movs["plain"], b"stsz", 4, 1), b"stsz", 8, 10**8))
    with pytest.raises(DataError, match="a track declares 100,000,000 samples of 1 bytes"):
        count_file_frames(path)


def test_uncompressed_sound_is_counted_by_its_chunks(movs, tmp_path):
    path = tmp_path / "a.mov"
    content = set_number(set_number(movs["plain"], b"stsz", 4, 1), b"stts", 12, 1)
    path.write_bytes(set_number(content, b"stsz", 8, 10**8))  # samples there may be more than bytes
    check_tables(path)
    path.write_bytes(set_number(content, b"stsc", 12, 10**8))
    with pytest.raises(DataError, match="a track declares 100,000,000 samples, and it has"):
        check_tables(path)


def test_a_header_may_be_stored_compressed_or_cleared_away(movs, tmp_path):
    content = movs["plain"]
    at = content.index(b"moov") - 4
    begin, header = content[:at], content[at:]

    def box(name, inner):
        return struct.pack(">I4s", 8 + len(inner), name) + inner

    for spoilt in (False, True):
        moov = set_number(header, b"stts", 4, 10**8) if spoilt else header
        packed = box(b"cmvd", struct.pack(">I", len(moov)) + zlib.compress(moov))
        forms = {
            "packed": begin + box(b"moov", box(b"cmov", box(b"dcom", b"zlib") + packed)),
            "cleared": begin + moov[:4] + b"free" + moov[8:],
        }
        for name, form in forms.items():
            path = tmp_path / f"{name}{spoilt}.mov"
            path.write_bytes(form)
            if spoilt:
                with pytest.raises(DataError, match="stts declares 100,000,000 rows"):
                    count_file_frames(path)
            else:
                assert count_file_frames(path) == 12, name


def test_what_is_no_mov_passes(tmp_path):
    for content in (b"", b"\0", b"\0\0\0\0moov", b"\x1a\x45\xdf\xa3" * 9, b"\0\0\0\1mdat" + b"\xff" * 8):
        (tmp_path / "a").write_bytes(content)
        check_tables(tmp_path / "a")


def test_boxes_in_boxes_end(tmp_path):
    content = b""
    for _ in range(2000):
        content = struct.pack(">I4s", 8 + len(content), b"moov") + content
    (tmp_path / "a.mov").write_bytes(content)
    with pytest.raises(DataError, match="nested more than 12 deep"):
        count_file_frames(tmp_path / "a.mov")


def test_whole_films_are_read(movs, tmp_path):
    for name, content in movs.items():
        (tmp_path / name).with_suffix(".mp4").write_bytes(content)
        assert VideoFile((tmp_path / name).with_suffix(".mp4")).num_frames == 12
