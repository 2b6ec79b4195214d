"""What a video file says beside its frames: how it is to be shown, and where they are."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from synthetic_media import decode_all, picture, turn, write_ref_davis, write_video

from vdprobe.data.frames import FrameReader, content_digest, count_frames, frame_size
from vdprobe.data.orientation import STORED_NOTE, TURNED_NOTE
from vdprobe.data.sources import find_videos
from vdprobe.data.video import Video
from vdprobe.data.video_file import VideoFile
from vdprobe.errors import DataError


def read(path: Path, indices=(0,), rotate: bool = True):
    with FrameReader(Video("v", path, rotate=rotate)) as reader:
        return reader.read(indices), reader.notes


@pytest.fixture(scope="module")
def mp4(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("mp4") / "a.mp4", 12)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("mirrored", [{}, {"hflip": True}, {"vflip": True}])
def test_frames_are_turned_as_the_file_asks(mp4, tmp_path, suffix, degrees, mirrored):
    path = turn(mp4, tmp_path / f"turned.{suffix}", degrees, **mirrored)
    stored, notes = read(path, (3,), rotate=False)
    assert notes == (STORED_NOTE,)
    assert np.array_equal(stored, decode_all(path)[[3]])
    shown, notes = read(path, (3,))
    assert notes == (TURNED_NOTE,)
    # the matrix mirrors before it turns; set_display_rotation counts against the clock
    pixels = stored[0]
    pixels = pixels[:, ::-1] if "hflip" in mirrored else pixels[::-1] if "vflip" in mirrored else pixels
    wanted = [np.rot90(pixels, degrees // 90), np.rot90(pixels, -(degrees // 90))]
    assert any(np.array_equal(shown[0], want) for want in wanted)
    for rotate, frames in ((True, shown), (False, stored)):
        assert frame_size(Video("v", path, rotate=rotate), 3) == frames.shape[1:3]


def test_a_turn_by_90_goes_the_way_players_turn(mp4, tmp_path):
    # FFmpeg's autorotate shows a matrix of 90 degrees (against the clock) by its filter 'transpose=cclock'
    path = turn(mp4, tmp_path / "turned.mp4", 90)
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).rotation == 90
    assert np.array_equal(read(path)[0][0], np.rot90(read(path, rotate=False)[0][0]))


def test_a_slanted_file_is_refused_unless_taken_as_stored(mp4, tmp_path):
    path = turn(mp4, tmp_path / "slanted.mp4", 30)
    with pytest.raises(DataError, match=r"no multiple of 90 degrees; encode it upright, or set videos\.rotate: false"):
        read(path)
    assert read(path, rotate=False)[1] == (STORED_NOTE,)


def test_rotation_is_an_option_and_datasets_have_none(mp4, tmp_path, vdprobe):
    turn(mp4, tmp_path / "turned.mov", 90)
    (video,) = find_videos(tmp_path).videos
    assert video.rotate
    (video,) = find_videos(tmp_path, rotate=False).videos
    assert not video.rotate
    write_ref_davis(tmp_path / "davis", {"dog": {"frames": ["00000"], "expressions": {"0": {"exp": "a dog"}}}})
    (video,) = find_videos(tmp_path / "davis").videos
    assert not video.rotate
    arguments = ["extract", "--model", "pixels", "--videos", tmp_path, "--store", tmp_path / "st", "--tap", "pixels.16"]
    arguments += ["--set", "clips.kind=even", "--set", "clips.frames=2"]
    status, _, err = vdprobe(*arguments)
    assert status == 0, err
    status, out, err = vdprobe(*arguments, "--set", "videos.rotate=false", "--json")
    assert status == 0, err
    assert STORED_NOTE in out  # made again, beside the first


def write_gif(path: Path, frames: int = 6) -> Path:
    from PIL import Image

    pages = [Image.fromarray(picture(9 * i)) for i in range(frames)]
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=100)
    return path


def test_gifs_are_videos(tmp_path):
    path = write_gif(tmp_path / "dog.gif")
    (video,) = find_videos(tmp_path).videos
    assert (video.id, count_frames(video)) == ("dog", 6)
    frames, notes = read(path, range(6))
    assert notes == ()
    assert np.array_equal(frames, decode_all(path))
    assert find_videos(path).videos == (video,)


@pytest.mark.parametrize(
    "content",
    [
        "ffconcat version 1.0\nfile 'frames.bin'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nframes.bin\n#EXT-X-ENDLIST\n",
        "<?xml version='1.0'?><MPD><Period><BaseURL>frames.bin</BaseURL></Period></MPD>",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    ],
)
def test_what_shows_other_files_is_no_video(mp4, tmp_path, content):
    (tmp_path / "frames.bin").write_bytes(mp4.read_bytes())
    path = tmp_path / "clip.mp4"
    path.write_text(content)
    for use in (count_frames, FrameReader, content_digest):
        with pytest.raises(
            DataError, match=r"clip\.mp4 cannot be opened as a video .*container that is read"
        ) as caught:
            use(Video("v", path))
        assert "\n" not in str(caught.value)


def refer(content: bytes, path: str) -> bytes:
    """A mov whose frames lie in another file, which an alias in its data references names."""
    alias = (
        b"\0" * 10
        + b"\0" * 28
        + b"\0" * 12
        + b"\x05"
        + b"media".ljust(63, b"\0")
        + b"\0" * 16
        + struct.pack(">hh", 1, 1)
    )
    alias += b"\0" * 16 + struct.pack(">HH", 2, len(path)) + path.encode() + b"\0" * (len(path) % 2) + b"\xff\xff\0\0"
    url = b"\0\0\0\x0curl \0\0\0\x01"
    assert content.count(url) == 1 < content.rindex(b"moov")
    out = bytearray(content)
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        at = content.index(box, content.index(b"moov")) - 4
        (size,) = struct.unpack_from(">I", out, at)
        struct.pack_into(">I", out, at, size + len(alias))
    return bytes(out).replace(url, struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias)


def test_frames_that_a_mov_keeps_in_another_file_are_not_read(mp4, tmp_path):
    media = tmp_path / "media"
    media.write_bytes(mp4.read_bytes())
    path = tmp_path / "elsewhere.mov"
    path.write_bytes(refer(mp4.read_bytes(), str(media)))
    with av.open(str(path), options={"enable_drefs": "1", "use_absolute_path": "1"}) as container:
        assert sum(1 for _ in container.decode(video=0)) == 12  # FFmpeg can, and must not
    with pytest.raises(DataError, match=r"elsewhere\.mov"):
        count_frames(Video("v", path))


def test_a_single_picture_is_no_video(tmp_path):
    from PIL import Image

    path = tmp_path / "0.mp4"
    Image.fromarray(picture(0)).save(path, format="PNG")
    with pytest.raises(DataError, match="cannot be opened as a video"):
        count_frames(Video("v", path))


def write_frames_of(path: Path, codec: str, pix_fmt: str, prepare=lambda stream, frame: None) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        for i in range(4):
            frame = av.VideoFrame.from_ndarray(picture(i), format="rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = i, Fraction(1, 24)
            prepare(stream, frame)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_hidden_transparency_is_refused(tmp_path):
    path = write_frames_of(tmp_path / "a.webm", "libvpx-vp9", "yuva420p")
    assert count_frames(Video("v", path)) == 4
    with pytest.raises(DataError, match=r"frame 0 of .*a\.webm may be partly transparent \(alpha_mode\); flatten"):
        read(path)


@pytest.mark.parametrize(
    ("curve", "primaries", "notes"),
    [
        (16, 9, ("HDR curve PQ", "wide colours")),
        (18, 9, ("HDR curve HLG", "wide colours")),
        (1, 9, ("wide colours",)),
        (1, 1, ()),
    ],
)
def test_colours_that_are_not_converted_are_noted(tmp_path, curve, primaries, notes):
    def colour(stream, frame):
        stream.codec_context.color_trc = frame.color_trc = curve
        stream.codec_context.color_primaries = frame.color_primaries = primaries

    found = read(write_frames_of(tmp_path / "a.mp4", "libx264", "yuv420p", colour))[1]
    assert len(found) == len(notes)
    assert all(note in line for note, line in zip(notes, found, strict=True))


def test_pixels_that_are_not_square_are_noted(tmp_path):
    def wide(stream, frame):
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    path = write_frames_of(tmp_path / "a.mp4", "libx264", "yuv420p", wide)
    assert read(path)[1] == ("pixels are not square (4:3): frames are used as stored",)


def test_interlaced_frames_are_noted(tmp_path):
    def fields(stream, frame):
        stream.codec_context.options = {"x264-params": "tff=1"}

    path = write_frames_of(tmp_path / "a.mkv", "libx264", "yuv420p", fields)
    assert any("interlaced" in note for note in read(path)[1])


def test_a_declared_size_past_the_limit_is_refused(mp4, tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    path.write_bytes(mp4.read_bytes())
    monkeypatch.setattr("vdprobe.data.picture_size.MAX_PIXELS", 64 * 48 - 1)
    monkeypatch.setattr("vdprobe.data.video_index.decode_packets", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(DataError, match=r"a\.mp4 declares 64x48 pixels; at most 3,071 are read"):
        count_frames(Video("v", path))


def test_an_absurd_declared_size_is_one_line(tmp_path):
    path = tmp_path / "a.y4m"
    path.write_bytes(b"YUV4MPEG2 W60000 H60000 F24:1 Ip A1:1 C420\nFRAME\n")
    with pytest.raises(DataError, match=r"a\.y4m") as caught:
        count_frames(Video("v", path))
    assert "\n" not in str(caught.value)


def test_names_that_are_not_utf8_inside_a_file_do_not_matter(mp4, tmp_path):
    content = mp4.read_bytes()
    assert b"Lavf" in content
    path = tmp_path / "a.mp4"
    path.write_bytes(content.replace(b"Lavf", b"\xff\xfe\xfd\xfc"))
    assert count_frames(Video("v", path)) == 12


def test_whatever_ffmpeg_raises_names_the_file(mp4, monkeypatch):
    for error in (ValueError("x"), MemoryError(), OverflowError("x"), UnicodeDecodeError("utf-8", b"", 0, 1, "x")):

        def fail(*_, error=error, **__):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(av, "open", fail)
            with pytest.raises(DataError, match=r"a\.mp4 cannot be opened as a video \(.+\)"):
                FrameReader(Video("v", mp4.with_name("a.mp4"))).read([0])


def test_a_file_that_changes_is_looked_through_again(tmp_path):
    path = write_video(tmp_path / "a.mp4", 5)
    assert count_frames(Video("v", path)) == 5
    write_video(tmp_path / "b.mp4", 9).rename(path)
    assert count_frames(Video("v", path)) == 9


def test_another_film_in_the_same_file_is_told(tmp_path):
    """FFmpeg and players show the first of two mp4 files that were put together by `cat`."""
    path = write_video(tmp_path / "a.mp4", 4)
    assert not VideoFile(path).notes
    path.write_bytes(2 * path.read_bytes())
    file = VideoFile(path)
    assert file.num_frames == 4
    (note,) = file.notes
    assert "where another film begins: frames may have been lost" in note


def test_other_tracks_of_pictures_are_told(tmp_path):
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=24) for _ in range(2)]
        for number, stream in enumerate(streams):
            stream.width, stream.height, stream.pix_fmt = 64 * (number + 1), 48, "yuv420p"
        for number, stream in enumerate(streams):
            for i in range(3):
                frame = av.VideoFrame.from_ndarray(picture(i, 48, 64 * (number + 1)), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    file = VideoFile(path)
    file.frame(0)
    assert list(file.notes) == ["it holds 2 tracks of pictures, of which number 1 is read"]


@pytest.mark.parametrize("format", ["yuv420p", "yuv422p", "yuv444p", "yuv411p", "gray", "yuv420p10le"])
def test_raw_films_are_followed_by_the_size_of_their_frames(tmp_path, format):
    path = tmp_path / "a.y4m"
    with av.open(str(path), "w", options={"strict": "-1"}) as container:
        stream = container.add_stream("wrapped_avframe", rate=24)
        stream.width, stream.height, stream.pix_fmt = 63, 33, format
        for i in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i, 33, 63)).reformat(format=format)))
        container.mux(stream.encode())
    assert not [note for note in VideoFile(path).notes if "broken" in note]
    path.write_bytes(path.read_bytes()[:-1])
    assert [note for note in VideoFile(path).notes if "broken" in note]
