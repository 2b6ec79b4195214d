import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from vdprobe.analyses.roi import OBJECT_FEATURES
from vdprobe.analyses.roi_similarity import find_pairs, pair_values, separation
from vdprobe.errors import DataError


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


def samples(features, masks, estimator):
    """The values within objects and between objects."""
    pairs = find_pairs(masks, features.shape[2:])
    values = pair_values(features, pairs)[estimator]
    return values[pairs.within], values[~pairs.within]


TWO = {"1": (8, 16, 48, 48), "2": (72, 48, 112, 88)}


@pytest.mark.parametrize("estimator", OBJECT_FEATURES)
def test_features_that_hold_identity_separate_perfectly(estimator):
    masks = places(**TWO)
    within, between = samples(identities(masks), masks, estimator)
    assert (len(within), len(between)) == (2 * 3, 3)  # three pairs of frames of each object, three frames
    assert within == pytest.approx(1)
    assert (between < 0.8).all()
    assert separation(within, between) == 1


def test_noise_separates_nothing():
    rng = np.random.default_rng(0)
    masks = places(20, **TWO)
    within, between = samples(rng.normal(size=(20, 32, 12, 16)), masks, "masked_mean_centred")
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


def facts(pairs):
    """size, gap and occlusion by (first object, second object, first frame, second frame)."""
    names = [[pairs.names[number] for number in both] for both in pairs.objects]
    index = pd.MultiIndex.from_arrays([*zip(*names, strict=True), *pairs.times.T])
    return pd.DataFrame({"size": pairs.size, "gap": pairs.gap, "occlusion": pairs.occlusion}, index)


def test_pairs_say_size_gap_and_occlusion():
    """Object 1 moves 16 pixels to the right in frame 1; object 2 covers a quarter of object 3's box."""
    masks = places(2, **{"1": (0, 0, 32, 32), "2": (80, 64, 112, 96), "3": (64, 32, 96, 80)})
    masks["1"][1] = np.roll(masks["1"][1], 48, axis=1)
    masks["3"] &= ~masks["2"]
    masks["3"][:, 32:64, 64:68] = False  # its box stays
    pairs = find_pairs(masks, (12, 16))
    one = facts(pairs)
    assert set(one[pairs.within].index) == {(n, n, 0, 1) for n in "123"}
    assert set(one[~pairs.within].index) == {(*p, f, f) for p in ("12", "13", "23") for f in (0, 1)}
    assert one.loc[("1", "1", 0, 1)].tolist() == [32 * 32 / (96 * 128), 16 / 128, 0]
    assert one.loc[("1", "2", 0, 0), "gap"] == pytest.approx(np.hypot(48, 32) / 128)
    touching = one.loc[("2", "3", 0, 0)]
    assert touching["gap"] == 0
    assert touching["size"] == 32 * 32 / (96 * 128)
    # 16 x 16 pixels of a box of 32 x 48, and 32 x 32 pixels of which object 3 fills none
    assert touching["occlusion"] == pytest.approx(16 * 16 / (32 * 48))


def test_pixels_of_two_objects_occlude_neither():
    assert set(find_pairs(places(**{"1": TWO["1"], "2": TWO["1"]}), (12, 16)).occlusion) == {0.0}


def test_objects_out_of_sight_have_no_pairs():
    masks = places(**TWO)
    masks["2"][1] = False
    pairs = find_pairs(masks, (12, 16))
    assert pairs.times[~pairs.within].tolist() == [[0, 0], [2, 2]]
    assert pairs.times[(pairs.objects == 1).all(axis=1)].tolist() == [[0, 2]]
    assert all(np.isfinite(values).all() for values in pair_values(identities(masks), pairs).values())


def test_a_pair_without_a_feature_resembles_nothing():
    masks = places(**TWO)
    within, between = samples(np.zeros((3, 4, 12, 16)), masks, "masked_mean")
    assert set(within) == set(between) == {0.0}


def test_errors_say_what_to_do():
    masks = places(**{"1": TWO["1"]})
    with pytest.raises(DataError, match="3 pairs within and 0 between objects cannot be ranked; give videos with two"):
        separation(*samples(identities(masks), masks, "roi_align"))
    with pytest.raises(DataError, match="2 frames of 16x12 features are not the 3 of 16x12 in which objects were loc"):
        pair_values(identities(masks)[:2], find_pairs(masks, (12, 16)))
    with pytest.raises(DataError, match="features hold NaN or infinite values"):
        pair_values(np.full((3, 4, 12, 16), np.nan), find_pairs(masks, (12, 16)))
    with pytest.raises(DataError, match="object '2' has 2 masks of 128x96 pixels and not 3"):
        find_pairs({"1": masks["1"], "2": masks["1"][:2]}, (12, 16))
