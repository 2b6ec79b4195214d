import numpy as np
import pytest

from vdprobe.analyses.lighting import change_rows, change_slope, drift_rows
from vdprobe.errors import DataError
from vdprobe.metrics.region import region_similarity

STRENGTHS = (0.0, 0.25, 0.5, 1.0)


def objects(frames=3, height=6, width=8):
    cells = np.zeros((frames, height, width), np.int64)
    cells[:, 1:4, 2:5] = 2
    cells[:, 5] = -1  # padding
    return cells


def planted(strength, seed=0):
    """Channel 0: object or background; channel 1: light, another in each frame; the others hold something else."""
    rng = np.random.default_rng(seed)
    cells = objects()
    features = rng.normal(0, 0.1, (3, 6, 6, 8))
    features[:, 0] += np.where(cells > 0, 1, -1)
    features[:, 1] += strength * rng.choice([-1.5, 1.5], 3)[:, None, None]
    return features, cells


def iou_by_strength(readout):
    """Mean IoU of the mask that a linear readout gives, for 12 videos under each strength."""

    def iou(strength, seed):
        features, cells = planted(strength, seed)
        mask = np.einsum("fchw,c->fhw", features, readout) > 0
        return region_similarity(mask, cells > 0).mean()

    return np.array([[iou(strength, seed) for strength in STRENGTHS] for seed in range(12)])


def cosine(rows, region, centred):
    (row,) = [row for row in rows if (row.region, row.centred) == (region, centred)]
    return row.cosine


def test_a_readout_across_the_light_keeps_its_iou():
    values = iou_by_strength(np.array([1.0, 0, 0, 0, 0, 0]))
    assert [(row.mean, row.low, row.high) for row in change_rows(values, STRENGTHS)] == [(0, 0, 0)] * 3
    assert change_slope(values, STRENGTHS).mean == 0


def test_a_readout_along_the_light_loses_it():
    values = iou_by_strength(np.array([1.0, 1.0, 0, 0, 0, 0]))
    rows = change_rows(values, STRENGTHS)
    assert [row.strength for row in rows] == [0.25, 0.5, 1.0]
    assert [row.count for row in rows] == [12] * 3
    assert rows[0].mean > -0.02  # the light is weaker than what tells object and background apart
    assert rows[2].high < -0.3
    assert change_slope(values, STRENGTHS).high < -0.3


def test_features_drift_with_the_light_whatever_reads_them():
    clean, cells = planted(0.0)
    found = [drift_rows(clean, planted(strength)[0], cells) for strength in STRENGTHS]
    for region in ("object", "background"):
        for centred in (False, True):
            cosines = [cosine(rows, region, centred) for rows in found]
            assert cosines[0] == pytest.approx(1, abs=1e-12)
            assert cosines == sorted(cosines, reverse=True)
            assert cosines[3] < 0.75


def test_known_cosines_by_region():
    cells = objects()
    clean = np.zeros((3, 2, 6, 8))
    clean[:, 0] = 1
    changed = clean.copy()
    changed[:, :, 1:4, 2:5] = np.array([3, 4])[:, None, None]
    changed[:, :, 5] = np.array([-1, 0])[:, None]  # padding: in no region
    rows = drift_rows(clean, changed, cells)
    assert cosine(rows, "object", False) == pytest.approx(0.6)
    assert cosine(rows, "background", False) == pytest.approx(1)
    assert [row.places for row in rows] == [27, 93, 27, 93]
    # centred, the clean clip holds nothing but zeros: what changes is 0, what stays is still the same
    assert cosine(rows, "object", True) == 0
    assert cosine(rows, "background", True) == 1


def test_centring_takes_away_what_all_places_share():
    clean, cells = planted(0.0)
    shared = np.full((1, 6, 1, 1), 50.0)
    rows = drift_rows(clean + shared, planted(1.0)[0] + shared, cells)
    plain = drift_rows(clean, planted(1.0)[0], cells)
    for region in ("object", "background"):
        assert cosine(rows, region, False) > 0.999
        assert cosine(rows, region, True) == pytest.approx(cosine(plain, region, True))


def test_a_region_without_a_place_has_no_value():
    features = planted(0.0)[0]
    rows = drift_rows(features, features, np.zeros((3, 6, 8), int))
    assert np.isnan(cosine(rows, "object", False))
    assert rows[0].places == 0


def test_the_slope_is_that_of_a_line_and_its_interval_is_over_videos():
    rng = np.random.default_rng(0)
    level, slopes = rng.uniform(size=40), rng.normal(-0.3, 0.1, 40)
    values = level[:, None] + slopes[:, None] * np.array(STRENGTHS)
    found = change_slope(values, STRENGTHS)
    assert found.mean == pytest.approx(slopes.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * slopes.std() / np.sqrt(40), rel=0.1)
    (*_, last) = change_rows(values, STRENGTHS)
    assert (last.mean, last.low) == pytest.approx((found.mean, found.low))


def test_errors_say_what_to_do():
    features, cells = planted(0.0)
    with pytest.raises(DataError, match="features hold NaN or infinite values"):
        drift_rows(features, np.full_like(features, np.inf), cells)
    for strengths in ((0.0, 0.5), (0.0, 0.5, 0.5), (0.1, 0.5, 1.0)):
        for call in (change_rows, change_slope):
            with pytest.raises(DataError, match="of 3 columns; give one each, two or more, rising from 0 on"):
                call(np.ones((4, 3)), strengths)
    with pytest.raises(DataError, match="an interval over 1 videos"):
        change_slope(np.ones((1, 3)), (0.0, 0.5, 1.0))
