import numpy as np
import pytest

from vdprobe.errors import DataError
from vdprobe.metrics.summary import summarise


@pytest.mark.parametrize(
    ("scores", "decay"),
    [
        ([0.7], 0.0),
        ([1.0, 0.0], 1.0),
        ([1.0, 0.5, 0.0], 0.75),
        ([1.0, 0.5, 0.5, 0.0], 0.5),
        ([1.0, 0.8, 0.5, 0.2, 0.0], 0.8),
        ([1.0] * 100 + [0.5] * 100, 0.5),
    ],
)
def test_decay_known_answers(scores, decay):
    """Quarters share their edge frames: of 5 frames, (0, 1) and (3, 4)."""
    assert summarise(np.array(scores)).decay == pytest.approx(decay, abs=1e-12)


def test_mean_and_recall():
    """A score of exactly 0.5 is not recalled."""
    found = summarise(np.array([0.5, 0.75, 1.0, 0.0]))
    assert (found.mean, found.recall) == (0.5625, 0.5)


def test_decay_of_more_than_256_frames_compares_the_ends_of_the_video():
    """With 8-bit frame numbers the last quarter of 400 frames, 299 to 399, would be frames 43 to 143."""
    scores = np.linspace(1, 0, 400)
    assert summarise(scores).decay == pytest.approx(scores[:101].mean() - scores[299:].mean(), abs=1e-12)


def test_no_frames_is_an_error():
    with pytest.raises(DataError, match="there are no frames to sum up; score at least one"):
        summarise(np.array([]))
