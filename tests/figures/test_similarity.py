import numpy as np
import pytest
from PIL import Image

from vdprobe.figures.feature_maps import draw_feature_maps, pca_colours
from vdprobe.figures.similarity import draw_similarity, point_similarity


def planted(frames=3, channels=6, height=4, width=8):
    """A direction that one place of each frame has, on noise of mean zero."""
    rng = np.random.default_rng(0)
    features = rng.normal(0, 0.01, (frames, channels, height, width)).astype(np.float32)
    features += 5  # shared by all places: it must not count
    for frame in range(frames):
        features[frame, 0, 2, 3 + frame] += 10
    return features


def test_the_point_is_found_again_in_every_frame():
    found = point_similarity(planted(), (3.5 / 8, 2.5 / 4))
    for frame in range(3):
        assert np.unravel_index(found[frame].argmax(), found[frame].shape) == (2, 3 + frame)
        others = np.delete(found[frame].ravel(), 2 * 8 + 3 + frame)
        assert found[frame].max() > 0.99
        assert others.max() < 0
    assert found[0, 2, 3] == pytest.approx(1)


def test_constant_features_give_no_likeness_and_no_warning():
    assert (point_similarity(np.ones((2, 3, 4, 4), np.float32), (0.1, 0.1)) == 0).all()


def test_equal_features_have_equal_colours_in_all_frames():
    colours = pca_colours(planted())
    first = colours[..., 0]  # the planted direction; the others are noise
    assert first[0, 2, 3] == pytest.approx(first[2, 2, 5], abs=0.02)
    assert abs(first[0, 2, 3] - first[0, 0, 0]) > 0.9


def test_pictures_are_drawn(tmp_path):
    frames = np.zeros((3, 32, 64, 3), np.uint8)
    draw_similarity(frames, {"one": planted(), "two": planted()}, (0.5, 0.5), tmp_path / "s.png", "title")
    draw_feature_maps(frames, {"one": planted()}, tmp_path / "f.png", "title")
    with Image.open(tmp_path / "f.png") as one, Image.open(tmp_path / "s.png") as two:
        assert one.height < two.height  # a row more
    assert (tmp_path / "s.pdf").is_file()
