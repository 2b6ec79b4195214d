"""Every codec in every container that PyAV writes here: reading from the middle equals decoding from the start."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from synthetic_media import decode_all, picture

from vdprobe.data.video_file import VideoFile, count_file_frames
from vdprobe.data.video_index import index_video
from vdprobe.errors import DataError

FRAMES = 16
FIXTURES = Path(__file__).parents[1] / "fixtures" / "videos"
CONTAINERS = ("mp4", "mov", "mkv", "webm", "avi", "ts", "mpg", "flv", "wmv", "ogv", "gif", "y4m", "3gp")


@dataclass(frozen=True)
class Kind:
    """One way to encode: a codec, its pixels and its options."""

    name: str
    codec: str
    pix_fmt: str = "yuv420p"
    options: dict = field(default_factory=dict)


X264 = {"preset": "ultrafast", "g": "6", "bf": "2"}
KINDS = (
    Kind("h264", "libx264", options=X264),
    Kind("h264-open", "libx264", options={**X264, "x264-params": "scenecut=0:b-adapt=0:open-gop=1"}),
    Kind(
        "h264-pyramid", "libx264", options={**X264, "g": "9", "bf": "4", "x264-params": "b-pyramid=2:ref=4:open-gop=1"}
    ),
    Kind("h264-refresh", "libx264", options={**X264, "bf": "0", "x264-params": "intra-refresh=1:keyint=6:scenecut=0"}),
    Kind("h264-interlaced", "libx264", options={**X264, "x264-params": "tff=1"}),
    Kind("mpeg4", "mpeg4", options={"g": "6"}),
    Kind("mpeg4-b", "mpeg4", options={"g": "6", "bf": "2"}),
    Kind("mpeg2", "mpeg2video", options={"g": "6", "bf": "2"}),
    Kind("mpeg1", "mpeg1video", options={"g": "6", "bf": "2"}),
    Kind("mjpeg", "mjpeg", "yuvj420p"),
    Kind("vp8", "libvpx", options={"g": "6", "auto-alt-ref": "1", "lag-in-frames": "8", "cpu-used": "8"}),
    Kind("vp9", "libvpx-vp9", options={"g": "6", "auto-alt-ref": "1", "lag-in-frames": "8", "cpu-used": "8"}),
    Kind("av1", "libsvtav1", options={"g": "6", "preset": "13", "svtav1-params": "fast-decode=1"}),
    Kind("ffv1", "ffv1", options={"g": "6"}),
    Kind("png", "png", "rgb24"),
    Kind("gif", "gif", "rgb8"),
    Kind("prores", "prores_ks", "yuv422p10le"),
    Kind("huffyuv", "huffyuv", "yuv422p"),
    Kind("ffvhuff", "ffvhuff"),
    Kind("utvideo", "utvideo"),
    Kind("rawvideo", "rawvideo"),
    Kind("wrapped", "wrapped_avframe"),
    Kind("flv1", "flv", options={"g": "6"}),
    Kind("wmv1", "wmv1", options={"g": "6"}),
    Kind("wmv2", "wmv2", options={"g": "6"}),
    Kind("msmpeg4", "msmpeg4", options={"g": "6"}),
    Kind("h263p", "h263p", options={"g": "6"}),
    Kind("snow", "snow", options={"g": "6"}),
    Kind("svq1", "svq1", "yuv410p", options={"g": "6"}),
    Kind("cinepak", "cinepak", "rgb24", options={"g": "6"}),
    Kind("qtrle", "qtrle", "rgb24", options={"g": "6"}),
    Kind("zmbv", "zmbv", "bgr0", options={"g": "6"}),
    Kind("flashsv", "flashsv", "bgr24", options={"g": "6"}),
    Kind("dnxhd", "dnxhd", "yuv422p", options={"profile": "dnxhr_sq"}),
    Kind("vc2", "vc2", "yuv422p"),
    Kind("asv1", "asv1"),
    Kind("roq", "roqvideo", "yuvj444p"),
    Kind("magicyuv", "magicyuv", "yuv422p"),
    Kind("cfhd", "cfhd", "yuv422p10le"),
    Kind("msvideo1", "msvideo1", "rgb555le"),
    Kind("rpza", "rpza", "rgb555be"),
)


def write(path: Path, kind: Kind, times: list[int] | None = None) -> Path:
    """A clip in which every picture is told from its neighbours."""
    times = times or list(range(FRAMES))
    height, width = (136, 256) if kind.codec == "dnxhd" else (32, 48)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(kind.codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = width, height, kind.pix_fmt
        stream.codec_context.options = dict(kind.options)
        for i, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(7 * i, height, width), format="rgb24").reformat(
                format=kind.pix_fmt
            )
            frame.pts, frame.time_base = time, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def remux(source: Path, to: Path, keep: Callable[[int], bool] = lambda number: True, delay: float = 0.0) -> Path:
    """The packets of a file in another container, without some, and later or earlier."""
    with av.open(str(source)) as old, av.open(str(to), "w", options={"avoid_negative_ts": "disabled"}) as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream, opaque=True)
        for number, packet in enumerate(packet for packet in old.demux(stream) if packet.size):
            if keep(number):
                packet.stream = copy
                packet.pts += round(delay / stream.time_base)
                packet.dts += round(delay / stream.time_base)
                new.mux(packet)
    return to


def check(path: Path, seed: str) -> None:
    """Each frame equals that of one decoding from the start: in any order, and as the first that is read."""
    expected = decode_all(path)
    count = len(expected)
    assert count_file_frames(path) == count
    shuffled = random.Random(seed).sample(range(count), count)
    file = VideoFile(path)
    assert file.num_frames == count
    for index in shuffled:
        assert np.array_equal(file.frame(index), expected[index]), index
    file.close()
    for index in shuffled[:5]:
        fresh = VideoFile(path)
        assert np.array_equal(fresh.frame(index), expected[index]), f"{index}, read first"
        fresh.close()


def writable(kind: Kind, folder: Path) -> list[Path]:
    """The kind in all containers that take it and give it back."""
    if kind.codec not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg has no {kind.codec}")
    out = []
    for suffix in CONTAINERS:
        if suffix == "mpg" and "mpeg" not in kind.name and "264" not in kind.name:
            continue  # written, but never read again by any player
        path = folder / f"{kind.name}.{suffix}"
        try:
            write(path, kind)
            decode_all(path)
        except (av.FFmpegError, ValueError, IndexError):
            continue
        out.append(path)
    return out


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_reading_from_the_middle_equals_decoding_from_the_start(kind, tmp_path):
    for path in writable(kind, tmp_path):
        check(path, path.name)


INDEXED = ("h264", "h264-open", "vp8", "vp9", "av1")


@pytest.mark.parametrize("name", INDEXED)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_packets_alone_tell_the_frames_of_usual_codecs(name, suffix, tmp_path, monkeypatch):
    """A long film need not be decoded to know how many frames it has, nor to read one from its middle."""
    kind = next(kind for kind in KINDS if kind.name == name)
    if kind.codec not in av.codecs_available or (name, suffix) == ("vp8", "mp4"):
        pytest.skip(f"this build of FFmpeg writes no {name} into {suffix}")

    def refuse(*_):
        raise AssertionError("the whole film is decoded")

    path = write(tmp_path / f"a.{suffix}", kind)
    monkeypatch.setattr("vdprobe.data.video_index.decode_order", refuse)
    monkeypatch.setattr("vdprobe.data.video_file.decode_order", refuse)
    check(path, name)
    assert len(index_video(path).starts) > 1


COMMON = [kind for kind in KINDS if kind.name in ("h264", "h264-open", "mpeg4-b", "mpeg2", "vp8", "vp9", "av1")]


@pytest.mark.parametrize("kind", COMMON, ids=lambda kind: kind.name)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
class TestOddFiles:
    @pytest.fixture
    def whole(self, kind, suffix, tmp_path):
        path = tmp_path / f"whole.{suffix}"
        try:
            write(path, kind)
            decode_all(path)
        except (av.FFmpegError, ValueError, IndexError):
            pytest.skip("the container does not take the codec")
        # Matroska does not tell when each packet is decoded
        return write(tmp_path / "source.mp4", kind) if suffix == "mkv" and kind.name != "vp8" else path

    def test_frames_at_odd_times(self, kind, suffix, whole, tmp_path):
        times = [0, 1, 2, 4, 9, 10, 11, 30, 31, 32, 34, 35, 36, 37, 50, 51]
        check(write(tmp_path / f"odd.{suffix}", kind, times), kind.name)

    def test_times_below_zero(self, kind, suffix, whole, tmp_path):
        check(remux(whole, tmp_path / f"negative.{suffix}", delay=-0.2), kind.name)

    def test_lost_packets(self, kind, suffix, whole, tmp_path):
        path = remux(whole, tmp_path / f"lost.{suffix}", lambda number: number not in (8, 9))
        check(path, kind.name)
        assert any("gaps" in note or "empty" in note for note in VideoFile(path).notes)

    def test_a_beginning_in_the_middle(self, kind, suffix, whole, tmp_path):
        path = remux(whole, tmp_path / f"middle.{suffix}", lambda number: number >= 3)
        try:
            decode_all(path)
        except av.FFmpegError:
            with pytest.raises(DataError, match="frames decode; it is damaged or was cut short"):
                VideoFile(path)
        else:
            check(path, kind.name)


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov", "ts", "flv"])
@pytest.mark.parametrize("keep", [lambda n: True, lambda n: n not in (8, 9), lambda n: n >= 3])
def test_hevc(tmp_path, suffix, keep):
    # written once by libx265 (keyint=6, open-gop, two B-frames): as an encoder it broke the memory of small pictures
    check(remux(FIXTURES / "hevc_open_gop.mp4", tmp_path / f"a.{suffix}", keep), suffix)


def test_a_long_film_with_few_starts(tmp_path):
    kind = Kind("", "libx264", options={"preset": "ultrafast", "bf": "0", "x264-params": "intra-refresh=1:keyint=20"})
    path = write(tmp_path / "refresh.mp4", kind, list(range(60)))
    check(path, "refresh")


def test_packets_that_show_nothing_are_no_frames(tmp_path):
    plain = write(tmp_path / "plain.webm", Kind("", "libvpx", options={"g": "60"}))
    path = tmp_path / "hidden.webm"
    with av.open(str(plain)) as old, av.open(str(path), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        for number, given in enumerate(packet for packet in old.demux(stream) if packet.size):
            data = bytearray(bytes(given))
            if number in (5, 9):
                data[0] &= ~0x10  # the bit that says that a frame is shown
            packet = av.Packet(bytes(data))
            packet.stream, packet.pts, packet.dts, packet.time_base = copy, given.pts, given.dts, given.time_base
            packet.is_keyframe = given.is_keyframe
            new.mux(packet)
    assert len(decode_all(path)) == FRAMES - 2
    check(path, "hidden")


def test_an_avi_with_empty_chunks_is_whole_and_one_cut_short_is_not(tmp_path):
    path = write(tmp_path / "dropped.avi", Kind("", "mjpeg", "yuvj420p"), [i for i in range(20) if i not in (5, 6, 11)])
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 20
    check(path, "dropped")
    assert next(iter(VideoFile(path).notes)) == "3 of 20 declared frames are empty: the recorder dropped them"
    part = tmp_path / "cut.avi"
    part.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DataError, match="of 20 frames decode; it is damaged or was cut short"):
        count_file_frames(part)


def test_an_avi_with_two_frames_in_a_chunk_is_whole(tmp_path):
    plain = write(tmp_path / "plain.avi", Kind("", "mpeg4", options={"g": "60", "bf": "1", "sc_threshold": "1000000"}))
    path = tmp_path / "packed.avi"
    with av.open(str(plain)) as old, av.open(str(path), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        given = [packet for packet in old.demux(stream) if packet.size]
        first = bytes(given[0]).replace(b"\0\0\1\xb6", b"\0\0\1\xb2DivX503b1393p\0\0\1\xb6", 1)
        chunks = [first]
        for forward, between in zip(given[1::2], given[2::2], strict=False):
            chunks += [bytes(forward) + bytes(between), b"\0\0\1\xb6\x7f\xff\xff"]
        for number, chunk in enumerate(chunks):
            packet = av.Packet(chunk)
            packet.stream, packet.pts, packet.dts, packet.time_base = copy, number, number, Fraction(1, 24)
            packet.is_keyframe = number == 0
            new.mux(packet)
    assert len(decode_all(path)) >= 13
    check(path, "packed")
