import av
import numpy as np
import pytest
from PIL import Image

from vdprobe.data.folders import frames_video
from vdprobe.studies.predict.overlays import (
    COLOUR,
    NARROW,
    SHARE,
    WIDE,
    Overlay,
    draw_film,
    draw_overview,
    spread_evenly,
)


@pytest.fixture
def overlay(tmp_path):
    """Grey frames, a mask of the left half in all of them but the last."""

    def make(height=40, width=60, count=3, text="a dog"):
        folder = tmp_path / f"{height}x{width}"
        folder.mkdir()
        for k in range(count):
            Image.new("RGB", (width, height), (100, 100, 100)).save(folder / f"{k:05d}.png")
        mask = np.zeros((height, width), dtype=bool)
        mask[:, : width // 2] = True
        masks = [mask] * (count - 1) + [np.zeros_like(mask)]
        video = frames_video(folder)
        return Overlay("dog/0", text, video, tuple(range(count)), (0.5,) * count, masks.__getitem__)

    return make


def frames_of(path):
    with av.open(path) as film:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in film.decode(video=0)]


def test_a_film_shows_the_mask_tinted_and_outlined_above_its_text(overlay, tmp_path):
    draw_film(overlay(), tmp_path / "a.mp4")
    first, _, last = frames_of(tmp_path / "a.mp4")
    height, width = 40 * 8, 60 * 8  # eight times as large, to be NARROW pixels wide
    assert first.shape[1] == width == NARROW
    assert first.shape[0] > height
    middle = first[height // 2]
    tint = (1 - SHARE) * 100 + SHARE * np.array(COLOUR)
    assert np.abs(middle[width // 4] - tint).max() < 16
    assert np.abs(middle[3 * width // 4] - 100).max() < 8
    border = middle[width // 2 : width // 2 + 6].mean(axis=1)
    assert border.max() > 190 > 70 > border.min()  # white, then black
    text = first[height + 4 :]
    assert (text > 240).mean() > 0.7
    assert text.min() < 80
    assert np.abs(last[:height] - 100).max() < 8


def test_what_is_written_differs_with_score_and_emptiness(overlay, tmp_path):
    draw_film(overlay(), tmp_path / "a.mp4")
    first, second, last = (frame[320:] for frame in frames_of(tmp_path / "a.mp4"))
    assert np.abs(first - second).max() > 60  # the number of the frame
    assert (last < 120).sum() > (first < 120).sum()  # nothing is marked in it


@pytest.mark.parametrize(("height", "width"), [(30, 2000), (2000, 30), (17, 33)])
def test_frames_of_any_size(overlay, tmp_path, height, width):
    draw_film(overlay(height, width, text="a very long text about something " * 5), tmp_path / "a.mp4")
    shown = frames_of(tmp_path / "a.mp4")[0].shape
    assert NARROW <= shown[1] <= WIDE
    assert shown[0] < WIDE + 400
    draw_overview([overlay(height, width + 1)], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert min(sheet.size) > 50


def test_the_sheet_has_a_row_for_each(overlay, tmp_path):
    draw_overview([overlay(100, 100, count=9), overlay(400, 300, count=2)], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        sheet = np.asarray(image).astype(int)
    assert sheet.shape[0] == 2 * 200 + 3 * 4
    assert sheet.shape[1] > 5 * 200
    pink = (np.abs(sheet - ((1 - SHARE) * 100 + SHARE * np.array(COLOUR))) < 3).all(axis=2)
    assert pink[:204].sum() == pytest.approx(4 * 100 * 200, rel=0.02)  # four of five frames
    assert pink[208:].sum() == pytest.approx(75 * 200, rel=0.02)


def test_spread_evenly():
    assert spread_evenly("abcdefghi", 3) == ["a", "e", "i"]
    assert spread_evenly("ab", 5) == ["a", "b"]
    assert spread_evenly("abc", 1) == ["a"]
    assert spread_evenly("", 3) == []
