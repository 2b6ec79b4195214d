import av
import numpy as np
import pytest
from synthetic_media import decode_all, picture

from vdprobe.data.write_video import write_video
from vdprobe.errors import DataError


@pytest.mark.parametrize("codec", ["h264", "mpeg4"])
def test_what_is_written_is_read_back(tmp_path, monkeypatch, codec):
    if codec == "mpeg4":
        monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    frames = np.stack([picture(i, 64, 96) // 4 + 90 for i in range(6)])
    write_video(frames, tmp_path / "a.mp4", rate=5)
    with av.open(tmp_path / "a.mp4") as film:
        (stream,) = film.streams.video
        assert (stream.codec_context.name, stream.average_rate, stream.frames) == (codec, 5, 6)
    back = decode_all(tmp_path / "a.mp4")
    assert back.shape == frames.shape
    assert np.abs(back.astype(int) - frames).mean() < 4


def test_the_same_frames_give_the_same_file(tmp_path):
    frames = np.stack([picture(i) for i in range(3)])
    for name in ("a", "b"):
        write_video(frames, tmp_path / f"{name}.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(("height", "width"), [(33, 48), (32, 47), (33, 47)])
def test_an_odd_side_repeats_its_last_line(tmp_path, height, width):
    frames = np.stack([picture(i, height, width) // 4 + 90 for i in range(2)])
    write_video(frames, tmp_path / "a.mp4")
    back = decode_all(tmp_path / "a.mp4").astype(int)
    assert back.shape[1:3] == (height + height % 2, width + width % 2)
    assert np.abs(back[:, :height, :width] - frames).mean() < 4
    for axis, side in ((1, height), (2, width)):
        if side % 2:
            lines = np.moveaxis(back, axis, 0)
            assert np.abs(lines[-1] - lines[-2]).mean() < 6


def test_a_file_that_cannot_be_written_is_one_line(tmp_path):
    frames = np.stack([picture(i) for i in range(2)])
    with pytest.raises(DataError, match=r"cannot write .*gone/a\.mp4 \(No such file or directory\); check the folder"):
        write_video(frames, tmp_path / "gone" / "a.mp4")
