"""The share of the text: features whose parts are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vdprobe.analyses.text_share import TextSums, sum_text
from vdprobe.errors import DataError

PLACES, CHANNELS = 400, 6


def sums_of(features):
    first, *others = map(sum_text, features)
    for other in others:
        first = first.merge(other)
    return first


def planted(texts, of_frames, of_texts, seed=0):
    """A part that all texts share and a part of each text's own, of those deviations."""
    rng = np.random.default_rng(seed)
    shared = of_frames * rng.normal(size=(PLACES, CHANNELS))
    return shared + of_texts * rng.normal(size=(texts, PLACES, CHANNELS))


@pytest.mark.parametrize("texts", [2, 3, 10])
@pytest.mark.parametrize(("of_frames", "of_texts", "share"), [(1, 1, 0.5), (3, 1, 0.1), (0, 1, 1), (1, 0, 0)])
def test_known_shares_for_any_number_of_texts(texts, of_frames, of_texts, share):
    assert sums_of(planted(texts, of_frames, of_texts)).share() == pytest.approx(share, abs=0.03)


def test_what_a_text_adds_to_all_places_is_no_part_of_it():
    features = planted(3, 1, 1)
    moved = features + np.random.default_rng(1).normal(0, 100, (3, 1, CHANNELS))
    assert sums_of(moved).share() == pytest.approx(sums_of(features).share())
    assert sums_of(np.stack([features[0], features[0] + 5])).share() == pytest.approx(0, abs=1e-12)


def test_by_hand():
    """Two places, two texts that turn one channel round: centred 1, -1 and -1, 1."""
    one, two = np.array([[1.0], [-1.0]]), np.array([[-1.0], [1.0]])
    assert sums_of([one, two]).share() == 2  # variance over texts 2 at each place, over places 1
    assert sums_of([one, one, two]).share() == pytest.approx((4 / 3) / 1)


@given(st.permutations(range(5)), st.floats(0.01, 100), st.integers(1, 4))
def test_order_scale_and_the_way_of_merging_change_nothing(order, scale, cut):
    features = planted(5, 1, 0.5)
    whole = sums_of(features).share()
    again = [scale * features[k] for k in order]
    assert sums_of(again[:cut]).merge(sums_of(again[cut:])).share() == pytest.approx(whole)


def test_what_cannot_be_measured_is_said():
    with pytest.raises(DataError, match=r"takes two texts of a clip, and there is one; give it more expressions"):
        sum_text(planted(1, 1, 1)[0]).share()
    with pytest.raises(DataError, match=r"features are the same at all places; check the layer, or give more places"):
        TextSums(2, np.zeros((PLACES, CHANNELS)), 0.0).share()
