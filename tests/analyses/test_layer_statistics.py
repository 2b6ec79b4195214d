from functools import reduce
from itertools import combinations

import numpy as np
import pytest

from vdprobe.analyses.layers import (
    HsicSums,
    Moments,
    common_places,
    layer_statistics,
    sum_hsic,
    sum_moments,
)
from vdprobe.errors import DataError


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def as_clip(flat, frames=2, height=5):
    """(places, channels) as features of a clip."""
    return flat.reshape(frames, height, -1, flat.shape[1]).transpose(0, 3, 1, 2)


def statistics(flat):
    return layer_statistics(sum_moments(as_clip(flat)))


def isotropic(rank, channels=24, places=400):
    """Places whose covariance is exactly that of `rank` equal directions, none of them a channel."""
    directions = np.linalg.qr(normal(channels, channels, seed=1))[0][:rank]
    sample = normal(places, rank)
    columns = np.linalg.qr(sample - sample.mean(axis=0))[0]
    return columns @ directions * 30 + normal(channels, seed=2)


@pytest.mark.parametrize("rank", [1, 5, 24])
def test_the_effective_rank_of_an_isotropic_gaussian_is_its_rank(rank):
    found = statistics(isotropic(rank))
    assert found.entropy_rank == pytest.approx(rank)
    assert found.participation == pytest.approx(rank)
    drawn = statistics(normal(20_000, rank) @ np.linalg.qr(normal(24, 24))[0][:rank])
    assert drawn.entropy_rank == pytest.approx(rank, rel=0.01)


def test_ranks_of_a_known_spectrum():
    share = np.array([0.5, 0.25, 0.25])
    columns = np.linalg.qr(normal(200, 3) - normal(200, 3).mean(axis=0))[0]
    found = statistics(columns * np.sqrt(share))
    assert found.entropy_rank == pytest.approx(2 ** (0.5 + 0.5 + 0.5))
    assert found.participation == pytest.approx(1 / (0.25 + 2 * 0.0625))


def test_norms_and_outlier_channels():
    flat = normal(1000, 200) + 1
    flat[:, 7] = 30 * flat[:, 7] + 400
    flat[:, 9] *= 10
    found = statistics(flat)
    norms, variance = np.linalg.norm(flat, axis=1), flat.var(axis=0)
    sizes = np.sqrt((flat**2).mean(axis=0))
    assert (found.places, found.channels) == (1000, 200)
    assert (found.norm, found.norm_spread) == pytest.approx((norms.mean(), norms.std()))
    assert found.top_share == pytest.approx((variance[7] + variance[9]) / variance.sum())  # a hundredth: two of 200
    assert found.peak == pytest.approx(sizes[7] / np.median(sizes))
    assert statistics(flat[:, 9:]).peak < 15


def test_half_the_channels_at_zero_make_the_peak_infinite():
    flat = normal(50, 4)
    flat[:, 1:] = 0
    assert statistics(flat).peak == np.inf


def test_sums_merge_to_those_of_all_clips_in_any_order():
    """With a large mean, which sums of squares would not survive."""
    flat = normal(600, 6) + 1e6
    expected = statistics(flat)
    parts = [sum_moments(as_clip(part)) for part in np.split(flat, [100, 400])]
    for order in ((0, 1, 2), (2, 0, 1)):
        merged = layer_statistics(reduce(Moments.merge, [parts[k] for k in order]))
        assert merged.entropy_rank == pytest.approx(expected.entropy_rank, rel=1e-6)
        assert merged.top_share == pytest.approx(expected.top_share, rel=1e-6)
        assert merged.norm == pytest.approx(expected.norm)
    both = parts[0].merge(parts[1])
    assert both.mean == pytest.approx(flat[:400].mean(axis=0))
    assert both.scatter == pytest.approx(400 * np.cov(flat[:400].T, bias=True), abs=1e-3)


def cka(first, second):
    return float(sum_hsic({"a": first, "b": second}).cka()[0, 1])


def test_cka_of_a_rotation_and_a_scaling_is_one():
    features = normal(60, 8)
    rotation = np.linalg.qr(normal(8, 8, seed=1))[0]
    assert cka(features, features @ rotation * 37 + 5) == pytest.approx(1)
    assert cka(features, features @ np.diag([9.0, *[1] * 7])) < 0.9


def test_cka_of_independent_features_is_zero_on_average():
    """Small batches of many channels, which the biased estimator calls alike."""
    batches = [sum_hsic({"a": normal(16, 64, seed=k), "b": normal(16, 64, seed=1000 + k)}) for k in range(300)]
    found = reduce(HsicSums.merge, batches).cka()
    assert found.diagonal() == pytest.approx(1)
    assert found[0, 1] == pytest.approx(0, abs=0.03)
    gram = [x - x.mean(axis=0) for x in (normal(16, 64), normal(16, 64, seed=1000))]
    (a, b) = (g @ g.T for g in gram)
    assert (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()) > 0.6


def brute_hsic(first, second):
    """The U-statistic over all ordered quadruples of different places (Song et al. 2012, eq. 4)."""
    k, m = first @ first.T, second @ second.T
    index = np.indices((len(k),) * 4).reshape(4, -1)
    i, j, q, r = index[:, [len(set(column)) == 4 for column in index.T]]
    return (k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q])).mean()


def test_hsic_is_the_u_statistic():
    first, second = normal(7, 3), normal(7, 2, seed=1) + normal(7, 3)[:, :1]
    assert sum_hsic({"a": first, "b": second}).total == pytest.approx(
        np.array(
            [
                [brute_hsic(first, first), brute_hsic(first, second)],
                [brute_hsic(second, first), brute_hsic(second, second)],
            ]
        )
    )


def test_batches_give_the_value_of_the_full_batch():
    """Over all batches of 5 of 8 places exactly, as of any U-statistic."""
    first = normal(8, 3)
    layers = {"a": first, "b": first @ normal(3, 4, seed=1) + normal(8, 4, seed=2), "c": normal(8, 2, seed=3)}
    chosen = [list(part) for part in combinations(range(8), 5)]
    batches = [sum_hsic({name: value[part] for name, value in layers.items()}) for part in chosen]
    assert reduce(HsicSums.merge, batches).cka() == pytest.approx(sum_hsic(layers).cka())


def test_random_batches_come_near_the_full_batch():
    shared = normal(2000, 4)
    layers = {"a": np.hstack([shared, normal(2000, 4, seed=1)]), "b": shared @ normal(4, 6, seed=2)}
    order = np.random.default_rng(0).permutation(2000).reshape(40, 50)
    batches = [sum_hsic({name: value[part] for name, value in layers.items()}) for part in order]
    merged = reduce(HsicSums.merge, batches)
    assert merged.batches == 40
    assert merged.cka()[0, 1] == pytest.approx(cka(layers["a"], layers["b"]), abs=0.02)


def test_a_large_mean_does_not_round_the_value():
    features, other = normal(40, 6), normal(40, 6, seed=1) + normal(40, 6)
    assert cka(features + 1e5, other - 1e5) == pytest.approx(cka(features, other), abs=1e-6)


def test_common_places_are_the_same_in_every_layer():
    where = np.stack(np.indices((3, 4, 6)), axis=1).astype(np.float16)
    fine = where.repeat(2, axis=2).repeat(2, axis=3)
    found = common_places({"fine": fine, "coarse": where}, "dog", count=20)
    assert found["coarse"].shape == (20, 3)
    assert np.array_equal(found["fine"], found["coarse"])
    assert len(np.unique(found["coarse"], axis=0)) == 20
    again = common_places({"coarse": where}, "dog", count=20)["coarse"]
    assert np.array_equal(again, found["coarse"])
    others = [
        common_places({"a": where}, *name, count=20, seed=seed)["a"] for name, seed in ((["cat"], 0), (["dog"], 1))
    ]
    assert not any(np.array_equal(other, again) for other in others)
    assert len(common_places({"coarse": where}, "dog", count=1000)["coarse"]) == 72


def test_common_places_are_means_of_what_they_cover():
    fine = normal(2, 3, 4, 6).astype(np.float32)
    found = common_places({"fine": fine, "coarse": np.zeros((2, 1, 2, 3))}, "dog", count=12)["fine"]
    assert found[0] == pytest.approx(fine[0, :, :2, :2].mean(axis=(1, 2)), abs=1e-6)


def test_errors_say_what_to_do():
    with pytest.raises(DataError, match="features hold NaN or infinite values"):
        sum_moments(np.full((1, 2, 2, 2), np.nan))
    with pytest.raises(DataError, match="features are the same in all 50 places; check the layer"):
        statistics(np.zeros((50, 3)))
    with pytest.raises(DataError, match="layer 'b': 3 places, all finite: True; give 4 finite ones"):
        sum_hsic({"b": np.ones((3, 2))})
    with pytest.raises(DataError, match="layer 'a': 5 places, all finite: False"):
        sum_hsic({"a": np.full((5, 2), np.inf)})
    with pytest.raises(DataError, match="layer 'b' does not vary over the places drawn"):
        cka(normal(9, 2), np.ones((9, 2)))
    with pytest.raises(DataError, match=r"sums of layers \('a',\) and \('b',\) do not merge"):
        sum_hsic({"a": normal(9, 2)}).merge(sum_hsic({"b": normal(9, 2)}))
