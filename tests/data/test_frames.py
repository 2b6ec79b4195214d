import hashlib
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from synthetic_media import cut, decode_all, picture, turn, write_frames, write_video

from vdprobe.data.folders import frames_video
from vdprobe.data.frames import FrameReader, content_digest, count_frames
from vdprobe.data.video import Video
from vdprobe.data.video_index import decode_packets, index_video
from vdprobe.errors import DataError

CONTAINERS = {"a.mp4": "libx264", "b.mkv": "libx264", "c.avi": "libx264", "d.avi": "mpeg4", "e.webm": "libvpx-vp9"}


@pytest.fixture(scope="module", params=CONTAINERS)
def video_file(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / request.param
    return write_video(path, codec=CONTAINERS[request.param])


@pytest.fixture(scope="module")
def mp4(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("mp4") / "a.mp4", movflags="faststart")


@pytest.fixture
def folder(tmp_path):
    return write_frames(tmp_path / "dog")


def read(source, indices=(0,)):
    video = source if isinstance(source, Video) else Video("v", source)
    with FrameReader(video) as reader:
        return reader.read(indices), reader.notes


def one_line(caught):
    assert "\n" not in str(caught.value)


# files


def test_random_access_equals_sequential_decoding(video_file):
    expected = decode_all(video_file)
    assert len(expected) == 130
    assert count_frames(Video("v", video_file)) == 130
    with FrameReader(Video("v", video_file)) as reader:
        assert reader.num_frames == 130

        # one reader for all examples: where the decoder stands must not matter
        @settings(deadline=None, max_examples=40)
        @given(st.lists(st.integers(0, 129), min_size=1, max_size=6))
        def check(indices):
            assert np.array_equal(reader.read(indices), expected[indices])

        check()
        backwards = list(range(129, -1, -1))
        assert np.array_equal(reader.read(backwards), expected[::-1])
        assert np.array_equal(reader.read([129]), expected[129:])
        assert reader.notes == ()


def test_frames_are_those_that_were_written(mp4):
    frames, _ = read(mp4, (59, 60, 0))
    for frame, i in zip(frames, (59, 60, 0), strict=True):
        assert abs(int(np.median(frame[:, :6])) - i) <= 4


@pytest.fixture
def decoded(monkeypatch):
    """The packets of the frames that were decoded for reading."""
    seen = []

    def counted(packets, codec):
        for number, frame in decode_packets(packets, codec):
            seen.append(number)
            yield number, frame

    monkeypatch.setattr("vdprobe.data.video_file.decode_packets", counted)
    return seen


def test_windows_over_a_video_decode_each_frame_about_once(mp4, decoded):
    with FrameReader(Video("v", mp4)) as reader:
        for start in range(0, 130, 5):
            reader.read(range(start, start + 5))
    assert len(decoded) == 130


def test_a_far_frame_is_reached_from_the_keyframe_before_it(mp4, decoded):
    read(mp4, (125,))
    assert len(decoded) < 15


def test_frames_that_come_in_another_order_than_their_times_say_are_counted(mp4, monkeypatch):
    index = index_video(mp4)
    order = list(index.order)
    order[70], order[71] = order[71], order[70]
    monkeypatch.setattr("vdprobe.data.video_file.index_video", lambda path: replace(index, order=tuple(order)))
    expected = decode_all(mp4)
    with FrameReader(Video("v", mp4)) as reader:
        for place in (69, 70, 71, 3):
            assert np.array_equal(reader.read([place]), expected[[place]])


def test_a_seek_that_ends_elsewhere_is_found_out(mp4, monkeypatch):
    index = index_video(mp4)
    marks = list(index.marks)
    wrong = [(0, 17)]  # a packet from which decoding does not start
    monkeypatch.setattr("vdprobe.data.video_file.index_video", lambda path: replace(index, starts=tuple(wrong)))
    assert len(marks) == 130
    expected = decode_all(mp4)
    with FrameReader(Video("v", mp4)) as reader:
        for place in (20, 3):
            assert np.array_equal(reader.read([place]), expected[[place]])


def test_frames_hidden_by_an_edit_list_are_not_counted(mp4, tmp_path):
    shifted = tmp_path / "shifted.mp4"
    with av.open(str(mp4)) as source, av.open(str(shifted), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        second = int(1 / stream.time_base)
        for packet in source.demux(stream):
            if packet.size:
                packet.stream = copy
                packet.pts -= second
                packet.dts -= second
                target.mux(packet)
    expected = decode_all(shifted)
    assert len(expected) == count_frames(Video("v", shifted)) == 106
    with FrameReader(Video("v", shifted)) as reader:
        assert reader.num_frames == 106
        assert np.array_equal(reader.read((0, 50, 105)), expected[[0, 50, 105]])


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_one_frame_is_a_video(tmp_path, suffix):
    path = write_video(tmp_path / f"one{suffix}", 1)
    assert count_frames(Video("v", path)) == 1
    assert read(path, (0, 0))[0].shape == (2, 48, 64, 3)


@pytest.mark.parametrize("use", [count_frames, FrameReader])
class TestDamagedFiles:
    def test_missing(self, use, tmp_path):
        with pytest.raises(DataError, match=r"there is no video file .*gone\.mp4; check the path"):
            use(Video("v", tmp_path / "gone.mp4"))

    def test_folder_given_as_file(self, use, tmp_path):
        with pytest.raises(DataError, match="there is no video file"):
            use(Video("v", tmp_path))

    @pytest.mark.parametrize("content", [b"", b"hello, I am text" * 9])
    def test_no_video(self, use, tmp_path, content):
        path = tmp_path / "x.mp4"
        path.write_bytes(content)
        with pytest.raises(
            DataError, match=r"x\.mp4 cannot be opened as a video \(.*fetch or encode it again"
        ) as caught:
            use(Video("v", path))
        one_line(caught)

    def test_no_index_at_the_end(self, use, tmp_path):
        whole = write_video(tmp_path / "whole.mp4")
        with pytest.raises(DataError, match=r"cut\.mp4 cannot be opened as a video \(.*cut short") as caught:
            use(Video("v", cut(whole, tmp_path / "cut.mp4", 0.6)))
        one_line(caught)

    def test_fewer_frames_than_declared(self, use, mp4, tmp_path):
        with pytest.raises(DataError, match=r"cut\.mp4: (\d+) of 130 frames decode; .*cut short") as caught:
            use(Video("v", cut(mp4, tmp_path / "cut.mp4", 0.6)))
        one_line(caught)
        assert 40 < int(str(caught.value).split("mp4: ")[1].split(" of")[0]) < 100

    def test_cut_exactly_between_two_frames(self, use, mp4, tmp_path):
        with av.open(str(mp4)) as container:
            ends = sorted(entry.pos + entry.size for entry in container.streams.video[0].index_entries)
        path = tmp_path / "cut.mp4"
        path.write_bytes(mp4.read_bytes()[: ends[99]])
        with pytest.raises(DataError, match="100 of 130 frames decode"):
            use(Video("v", path))

    def test_fragmented_file_cut_short(self, use, tmp_path):
        whole = write_video(tmp_path / "whole.mp4", movflags="frag_keyframe+empty_moov")
        assert count_frames(Video("v", whole)) == 130
        with pytest.raises(DataError, match="frames decode; it is damaged or was cut short"):
            use(Video("v", cut(whole, tmp_path / "cut.mp4", 0.6)))

    def test_avi_cut_short(self, use, tmp_path):
        whole = write_video(tmp_path / "whole.avi", codec="mpeg4")
        with pytest.raises(DataError, match="of 130 frames decode"):
            use(Video("v", cut(whole, tmp_path / "cut.avi", 0.6)))

    def test_cut_within_the_last_frame(self, use, tmp_path):
        whole = write_video(tmp_path / "whole.avi", codec="mpeg4")
        with av.open(str(whole)) as container:
            last = max(entry.pos for entry in container.streams.video[0].index_entries)
        path = tmp_path / "cut.avi"
        path.write_bytes(whole.read_bytes()[: last + 8 + 20])
        with pytest.raises(DataError, match="129 of 130 frames decode"):
            use(Video("v", path))

    def test_sound_alone(self, use, tmp_path):
        path = tmp_path / "sound.mp4"
        with av.open(str(path), "w") as container:
            out = container.add_stream("aac", rate=16000, layout="mono")
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 4096), dtype=np.float32), format="fltp", layout="mono")
            sound.sample_rate = 16000
            for packet in [*out.encode(sound), *out.encode()]:
                container.mux(packet)
        with pytest.raises(DataError, match=r"sound\.mp4 holds no picture track"):
            use(Video("v", path))


def test_a_damaged_middle_does_not_pass_for_frames(mp4, tmp_path):
    content = bytearray(mp4.read_bytes())
    with av.open(str(mp4)) as container:
        entry = list(container.streams.video[0].index_entries)[30]
    content[entry.pos : entry.pos + entry.size] = bytes(entry.size)
    path = tmp_path / "hole.mp4"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"hole\.mp4: 129 of 130 frames decode") as caught:
        read(path, range(130))
    one_line(caught)
    assert read(path, (100,))[0].shape == (1, 48, 64, 3)


def test_a_frame_that_the_decoder_repaired_is_not_passed_on(mp4, tmp_path):
    content = bytearray(mp4.read_bytes())
    with av.open(str(mp4)) as container:
        entry = list(container.streams.video[0].index_entries)[30]
    for i in range(entry.pos + 20, entry.pos + entry.size):
        content[i] ^= 0x5A
    path = tmp_path / "flipped.mp4"
    path.write_bytes(content)
    with pytest.raises(DataError, match="129 of 130 frames decode"):
        read(path, range(130))


def test_a_short_matroska_is_noted(tmp_path):
    whole = write_video(tmp_path / "whole.mkv")
    _, notes = read(cut(whole, tmp_path / "cut.mkv", 0.6))
    assert len(notes) == 2
    assert "structure is broken" in notes[0]
    assert "of the 5.4 seconds it declares" in notes[1]
    assert read(whole)[1] == ()


def test_gray_and_deep_video_files_are_noted(tmp_path):
    gray = write_video(tmp_path / "gray.mkv", 3, codec="ffv1", pix_fmt="gray")
    frames, notes = read(gray)
    assert notes == ("grayscale frames were replicated to RGB",)
    assert (frames == frames[..., :1]).all()
    deep = write_video(tmp_path / "deep.mkv", 3, codec="ffv1", pix_fmt="yuv420p10le")
    assert read(deep)[1] == ("10-bit frames were reduced to 8 bits",)


def test_alpha_in_video_files(tmp_path):
    opaque = write_video(tmp_path / "opaque.mkv", 2, codec="ffv1", pix_fmt="yuva420p")
    assert read(opaque)[0].shape == (1, 48, 64, 3)
    clear = tmp_path / "clear.mkv"
    with av.open(str(clear), "w") as container:
        out = container.add_stream("ffv1", rate=24)
        out.width, out.height, out.pix_fmt = 64, 48, "bgra"
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 4), 100, dtype=np.uint8), format="bgra")
        for packet in [*out.encode(frame), *out.encode()]:
            container.mux(packet)
    with pytest.raises(DataError, match=r"frame 0 of .*clear\.mkv is partly transparent; flatten"):
        read(clear)


# folders


def test_folder_frames_come_as_asked(folder):
    video = frames_video(folder)
    assert count_frames(video) == 3
    frames, notes = read(video, (2, 0, 2))
    assert notes == ()
    assert frames.dtype == np.uint8
    assert np.array_equal(frames, np.stack([picture(i, 12, 16) for i in (2, 0, 2)]))


def test_index_out_of_range(folder, mp4):
    for video, last in ((frames_video(folder), 2), (Video("v", mp4), 129)):
        for index in (last + 1, -1):
            with pytest.raises(DataError, match=rf"has no frame {index}; it has {last + 1}, numbered from 0 to {last}"):
                read(video, (0, index))


def test_no_index(folder):
    with pytest.raises(DataError, match="no frame was asked for"):
        read(frames_video(folder), ())


def test_missing_folder_missing_frame_and_no_frames(folder):
    video = frames_video(folder)
    (folder / "00001.png").unlink()
    with pytest.raises(DataError, match=r"there is no frame .*00001\.png"):
        read(video, (0, 1))
    with pytest.raises(DataError, match=r"cannot read .*00001\.png: No such file"):
        content_digest(video)
    for use in (count_frames, content_digest, FrameReader):
        with pytest.raises(DataError, match=r"there is no folder of frames .*gone"):
            use(replace(video, source=folder / "gone"))
        with pytest.raises(DataError, match=r"video 'dog' .* has no frames"):
            use(replace(video, frame_names=()))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
def test_truncated_image(tmp_path, suffix):
    folder = write_frames(tmp_path / "dog", suffix=suffix)
    broken = folder / f"00001{suffix}"
    cut(broken, broken, 0.7)
    with pytest.raises(DataError, match=rf"00001\{suffix} (cannot be read|is not an image)") as caught:
        read(frames_video(folder), (0, 1))
    one_line(caught)


def test_unreadable_image(folder):
    (folder / "00001.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"00001\.png is not an image in a known format .*; fetch it again"):
        read(frames_video(folder), (1,))


def test_frames_of_different_sizes_are_named(folder):
    Image.fromarray(picture(1, 10, 16)).save(folder / "00001.png")
    with pytest.raises(DataError, match=r"00001\.png is 16x10 pixels and .*00000\.png is 16x12; bring") as caught:
        read(frames_video(folder), (0, 1))
    one_line(caught)
    with FrameReader(frames_video(folder)) as reader:
        reader.read([2])
        with pytest.raises(DataError, match=r"00001\.png is 16x10 pixels and .*00002\.png is 16x12"):
            reader.read([1])


def save_one(folder: Path, image: Image.Image, name: str = "0.png", **options) -> Video:
    folder.mkdir(exist_ok=True)
    image.save(folder / name, **options)
    return frames_video(folder)


def test_grayscale_images_are_replicated_and_noted(tmp_path):
    gray = picture(3, 12, 16)[..., 0]
    frames, notes = read(save_one(tmp_path / "l", Image.fromarray(gray)))
    assert notes == ("grayscale frames were replicated to RGB",)
    assert np.array_equal(frames[0], np.repeat(gray[..., None], 3, axis=2))


def test_16_bit_images_are_scaled_and_noted(tmp_path):
    deep = np.array([[0, 128, 129, 32768, 65278, 65535]], dtype=np.uint16)
    frames, notes = read(save_one(tmp_path / "i", Image.fromarray(deep)))
    assert frames[0, 0, :, 0].tolist() == [0, 0, 1, 128, 254, 255]
    assert notes == ("16-bit grayscale frames were scaled from 0..65535 to 0..255 and replicated to RGB",)


def test_palette_images_are_converted(tmp_path):
    palette = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), mode=None).convert("P")
    palette.putpalette([0, 0, 0, 128, 0, 7])
    frames, notes = read(save_one(tmp_path / "p", palette))
    assert frames[0, 0].tolist() == [[0, 0, 0], [128, 0, 7]]
    assert notes == ()


def test_alpha_is_accepted_only_where_opaque(tmp_path):
    rgba = np.dstack([picture(0, 12, 16), np.full((12, 16), 255, dtype=np.uint8)])
    frames, _ = read(save_one(tmp_path / "opaque", Image.fromarray(rgba)))
    assert np.array_equal(frames[0], rgba[..., :3])
    rgba[5, 5, 3] = 254
    with pytest.raises(DataError, match=r"0\.png is partly transparent .*flatten it"):
        read(save_one(tmp_path / "clear", Image.fromarray(rgba)))
    palette = Image.fromarray(picture(0, 12, 16)[..., 0]).convert("P")
    with pytest.raises(DataError, match="partly transparent"):
        read(save_one(tmp_path / "palette", palette, transparency=bytes(range(256))))


def test_pixels_that_would_need_a_guess_are_refused(tmp_path):
    with pytest.raises(DataError, match="pixels of kind 'CMYK'; convert it to 8-bit RGB"):
        read(save_one(tmp_path / "cmyk", Image.new("CMYK", (4, 4)), "0.jpg"))
    with pytest.raises(DataError, match="pixels of kind 'F'"):
        read(save_one(tmp_path / "float", Image.new("F", (4, 4)), "0.tif"))
    pages = [Image.new("RGB", (4, 4), c) for c in ("red", "blue")]
    with pytest.raises(DataError, match=r"0\.tif holds 2 pictures"):
        read(save_one(tmp_path / "pages", pages[0], "0.tif", save_all=True, append_images=pages[1:]))


# digests


def test_the_digest_of_a_file_is_that_of_its_bytes(mp4, tmp_path):
    assert content_digest(Video("v", mp4)) == hashlib.sha256(mp4.read_bytes()).hexdigest()
    content = bytearray(mp4.read_bytes())
    content[-1] ^= 1
    other = tmp_path / "other.mp4"
    other.write_bytes(content)
    assert content_digest(Video("v", other)) != content_digest(Video("v", mp4))
    with pytest.raises(DataError, match="cannot read"):
        content_digest(Video("v", tmp_path / "gone.mp4"))


def test_the_digest_of_a_folder_is_of_names_lengths_and_bytes(folder):
    video = frames_video(folder)
    first = content_digest(video)
    assert content_digest(replace(video, id="cat")) == first
    assert content_digest(replace(video, frame_names=video.frame_names[::-1])) != first
    assert content_digest(replace(video, frame_names=video.frame_names[:2])) != first
    (folder / "00000.png").rename(folder / "zero.png")
    assert content_digest(replace(video, frame_names=("zero.png", *video.frame_names[1:]))) != first


def test_the_digest_tells_how_frames_are_turned_and_is_else_as_it_was(mp4, tmp_path):
    turned = turn(mp4, tmp_path / "turned.mp4", 90)
    assert content_digest(Video("v", turned, rotate=False)) == hashlib.sha256(turned.read_bytes()).hexdigest()
    assert content_digest(Video("v", turned)) != content_digest(Video("v", turned, rotate=False))
    assert content_digest(Video("v", mp4, rotate=False)) == content_digest(Video("v", mp4))
    exif = Image.Exif()
    exif[274] = 6
    video = save_one(tmp_path / "turned", Image.new("RGB", (4, 8)), "0.jpg", exif=exif)
    assert content_digest(replace(video, rotate=False)) != content_digest(video)
    upright = save_one(tmp_path / "upright", Image.new("RGB", (4, 8)), "0.jpg")
    assert content_digest(replace(upright, rotate=False)) == content_digest(upright)


def test_no_two_folders_spell_the_same_bytes(tmp_path):
    (tmp_path / "a.png").write_bytes(b"one")
    (tmp_path / "b.png").write_bytes(b"two")
    two = content_digest(Video("v", tmp_path, ("a.png", "b.png")))
    (tmp_path / "a.png").write_bytes(b"oneb.pngtwo")
    assert content_digest(Video("v", tmp_path, ("a.png",))) != two
    (tmp_path / "a.png").write_bytes(b"onet")
    (tmp_path / "b.png").write_bytes(b"wo")
    assert content_digest(Video("v", tmp_path, ("a.png", "b.png"))) != two
