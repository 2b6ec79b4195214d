import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from vdprobe.analyses.roi import OBJECT_FEATURES
from vdprobe.analyses.roi_similarity import PairRow, pair_rows, samples, separation
from vdprobe.errors import ConfigError, DataError


def places(frames=3, **boxes):
    """Masks of 96 x 128 pixels from the pixels (left, top, right, bottom past the last) of each object."""
    masks = {}
    for name, (left, top, right, bottom) in boxes.items():
        masks[name] = np.zeros((frames, 96, 128), bool)
        masks[name][:, top:bottom, left:right] = True
    return masks


def identities(masks):
    """One direction for each object, kept over time; the ground has its own."""
    features = np.zeros((len(next(iter(masks.values()))), len(masks) + 1, 12, 16))
    features[:, -1] = 1
    for i, mask in enumerate(masks.values()):
        features.transpose(0, 2, 3, 1)[mask[:, ::8, ::8]] = np.eye(len(masks) + 1)[i]
    return features


TWO = {"1": (8, 16, 48, 48), "2": (72, 48, 112, 88)}


@pytest.mark.parametrize("estimator", OBJECT_FEATURES)
def test_features_that_hold_identity_separate_perfectly(estimator):
    masks = places(**TWO)
    within, between = samples(pair_rows(identities(masks), masks), estimator)
    assert (len(within), len(between)) == (2 * 3, 3)  # three pairs of frames of each object, three frames
    assert within == pytest.approx(1)
    assert (between < 0.8).all()
    assert separation(within, between) == 1


def test_noise_separates_nothing():
    rng = np.random.default_rng(0)
    masks = places(20, **TWO)
    within, between = samples(pair_rows(rng.normal(size=(20, 32, 12, 16)), masks), "masked_mean_centred")
    assert separation(within, between) == pytest.approx(0.5, abs=0.15)
    assert np.mean(within) == pytest.approx(0, abs=0.05)


def test_separation_is_the_area_under_the_roc_curve():
    rng = np.random.default_rng(0)
    for within, between in (
        (rng.integers(2, 8, 30).astype(float), rng.integers(0, 6, 50).astype(float)),  # full of ties
        (rng.normal(0.3, 1, 200), rng.normal(0, 1, 70)),
        (np.ones(5), np.ones(9)),
    ):
        expected = roc_auc_score(np.r_[np.ones(len(within)), np.zeros(len(between))], np.r_[within, between])
        assert separation(within, between) == pytest.approx(expected, abs=1e-12)
    assert separation(np.array([0.2, 0.5]), np.array([0.2, 0.1])) == (0.5 + 1 + 1 + 1) / 4


def test_rows_say_size_gap_and_occlusion():
    """Object 1 moves 16 pixels to the right in frame 1; object 2 covers a quarter of object 3's box."""
    masks = places(2, **{"1": (0, 0, 32, 32), "2": (80, 64, 112, 96), "3": (64, 32, 96, 80)})
    masks["1"][1] = np.roll(masks["1"][1], 48, axis=1)
    masks["3"] &= ~masks["2"]
    masks["3"][:, 32:64, 64:68] = False  # its box stays
    rows = pd.DataFrame(pair_rows(np.random.default_rng(0).normal(size=(2, 8, 12, 16)), masks))
    one = rows[rows.estimator == "masked_mean"].set_index(["first", "second", "first_frame", "second_frame"])
    assert set(one.loc[one.kind == "within"].index) == {(n, n, 0, 1) for n in "123"}
    assert set(one.loc[one.kind == "between"].index) == {(*p, f, f) for p in ("12", "13", "23") for f in (0, 1)}
    moved = one.loc[("1", "1", 0, 1)]
    assert (moved["size"], moved["gap"], moved["occlusion"]) == (32 * 32 / (96 * 128), 16 / 128, 0)
    apart = one.loc[("1", "2", 0, 0)]
    assert apart["gap"] == pytest.approx(np.hypot(48, 32) / 128)
    touching = one.loc[("2", "3", 0, 0)]
    assert touching["gap"] == 0
    assert touching["size"] == 32 * 32 / (96 * 128)
    # 16 x 16 pixels of a box of 32 x 48, and 32 x 32 pixels of which object 3 fills none
    assert touching["occlusion"] == pytest.approx(16 * 16 / (32 * 48))


def test_pixels_of_two_objects_occlude_neither():
    masks = places(**{"1": TWO["1"], "2": TWO["1"]})
    assert {row.occlusion for row in pair_rows(identities(masks), masks)} == {0.0}


def test_objects_out_of_sight_have_no_pairs():
    masks = places(**TWO)
    masks["2"][1] = False
    rows = [row for row in pair_rows(identities(masks), masks) if row.estimator == "roi_align"]
    assert [(r.first_frame, r.second_frame) for r in rows if r.kind == "between"] == [(0, 0), (2, 2)]
    assert [(r.first_frame, r.second_frame) for r in rows if r.first == r.second == "2"] == [(0, 2)]
    assert all(isinstance(row, PairRow) for row in rows)


def test_errors_say_what_to_do():
    masks = places(**{"1": TWO["1"]})
    rows = pair_rows(identities(masks), masks)
    with pytest.raises(DataError, match="3 pairs within and 0 between objects cannot be ranked; give videos with two"):
        separation(*samples(rows, "roi_align"))
    with pytest.raises(ConfigError, match="no estimator 'roi_algin': did you mean 'roi_align'"):
        samples(rows, "roi_algin")
    with pytest.raises(DataError, match="object '1' has 3 masks of 128x96 pixels and not 2"):
        pair_rows(identities(masks)[:2], masks)
