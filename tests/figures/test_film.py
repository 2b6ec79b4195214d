import numpy as np
import pytest
from PIL import Image

from vdprobe.figures.film import GAP, draw_sheet, write_gif


def grey(count, height, width):
    """Frames of one grey each, no two alike."""
    return np.repeat(np.arange(count, dtype=np.uint8) * 20 + 40, height * width * 3).reshape(count, height, width, 3)


@pytest.mark.parametrize(("rate", "duration"), [(8, 120), (25, 40)])
def test_a_gif_holds_every_frame_and_repeats(tmp_path, rate, duration):
    frames = grey(5, 16, 24)
    write_gif(frames, tmp_path / "a.gif", rate)
    with Image.open(tmp_path / "a.gif") as film:
        assert (film.n_frames, film.size, film.info["loop"]) == (5, (24, 16), 0)
        for k, frame in enumerate(frames):
            film.seek(k)
            assert film.info["duration"] == duration
            assert np.array_equal(np.asarray(film.convert("RGB")), frame)


def test_a_sheet_shows_every_frame_as_it_is(tmp_path):
    wide, tall = grey(3, 96, 128), grey(2, 120, 100)[::-1]
    draw_sheet([("a dog", wide), ("a cat", tall)], tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert len(sheet) == GAP + 96 + GAP + 120 + GAP
    left = sheet.shape[1] - 3 * (128 + GAP)
    for k, frame in enumerate(wide):
        x = left + k * (128 + GAP)
        assert np.array_equal(sheet[GAP : GAP + 96, x : x + 128], frame)
        assert (sheet[GAP : GAP + 96, x + 128 : x + 128 + GAP] == 255).all()
    for k, frame in enumerate(tall):
        x = left + k * (100 + GAP)
        assert np.array_equal(sheet[2 * GAP + 96 : 2 * GAP + 216, x : x + 100], frame)
    for top, height in ((GAP, 96), (2 * GAP + 96, 120)):
        assert sheet[top : top + height, :left].min() < 100  # its label


def test_small_frames_are_enlarged_by_whole_numbers(tmp_path):
    frames = grey(2, 40, 20)
    draw_sheet([("", frames)], tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    left = sheet.shape[1] - 2 * (60 + GAP)
    assert np.array_equal(sheet[GAP:-GAP, left : left + 60], frames[0].repeat(3, axis=0).repeat(3, axis=1))
    assert (sheet[:, :left] == 255).all()


def test_a_long_label_is_never_cut(tmp_path):
    label = " ".join(["WWWWW"] * 40)
    draw_sheet([(label, grey(1, 96, 96))], tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("L"))
    left = sheet.shape[1] - 96 - GAP
    assert (sheet[:, left - GAP : left] == 255).all()  # nothing runs into the frames
    lines = np.diff(np.concatenate([[0], (sheet[:, : left - GAP] < 128).any(axis=1)])) > 0
    assert lines.sum() == 10  # four words a line
    top = int((sheet[:, left] < 255).argmax())
    assert abs(top - (len(sheet) - 96) // 2) <= 1  # the frame stands in the middle of its row
