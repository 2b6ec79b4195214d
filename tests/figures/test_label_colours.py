import numpy as np

from vdprobe.figures.label_colours import TINT, label_colours, tinted
from vdprobe.figures.style import COLOURS


def test_each_number_has_its_colour_and_they_begin_again():
    numbers = np.arange(len(COLOURS) + 1).reshape(1, 2, -1)
    found = label_colours(numbers).reshape(-1, 3)
    assert (found[0] * 255).round().astype(int).tolist() == [0x00, 0x72, 0xB2]
    assert len(np.unique(found, axis=0)) == len(COLOURS)
    np.testing.assert_array_equal(found[0], found[-1])


def test_objects_are_tinted_and_the_ground_is_grey():
    frames = np.full((1, 2, 2, 3), (30, 60, 90), np.uint8)
    found = tinted(frames, np.array([[[0, 1], [2, 0]]]))
    np.testing.assert_allclose(found[0, 0, 0], 60 / 255)
    colours = label_colours(np.array([[[0, 1]]]))[0, 0]
    np.testing.assert_allclose(found[0, 0, 1], TINT * colours[0] + (1 - TINT) * 60 / 255)
    np.testing.assert_allclose(found[0, 1, 0], TINT * colours[1] + (1 - TINT) * 60 / 255)
