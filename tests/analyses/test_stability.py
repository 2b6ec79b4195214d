import numpy as np
import pytest

from vdprobe.analyses.stability import IoUDifference, iou_differences
from vdprobe.errors import ConfigError, DataError


def masks(ious):
    """A prediction of ten pixels of which a frame's share is true: IoUs as asked, in tenths."""
    truth = np.ones((len(ious), 2, 5), bool)
    prediction = np.arange(10) < np.round(10 * np.array(ious))[:, None]
    return prediction.reshape(truth.shape), truth


def test_known_values_at_both_gaps():
    ious = [0.5, 0.7, 0.4, 0.4, 1.0, 0.6, 0.2]
    one, five = iou_differences(*masks(ious))
    assert one.difference == pytest.approx(100 * (0.2 + 0.3 + 0 + 0.6 + 0.4 + 0.4) / 6)
    assert five.difference == pytest.approx(100 * (0.1 + 0.5) / 2)
    assert [(d.gap, d.pairs, d.absent) for d in (one, five)] == [(1, 6, 0), (5, 2, 0)]


def test_a_steady_mask_does_not_differ_be_it_bad():
    assert iou_differences(*masks([0.3] * 6))[0] == IoUDifference(1, 0.0, 5, 0)


def test_absent_objects_follow_the_rule_of_j():
    """Frames 1 and 2 show no object: found so in one of them, missed in the other."""
    prediction, truth = masks([0.8, 0, 0.5, 1.0])
    truth[1:3] = False
    (found,) = iou_differences(prediction, truth, gaps=(1,))
    assert found.difference == pytest.approx(100 * (0.2 + 1 + 1) / 3)
    assert found.absent == 2


def test_errors_say_what_to_do():
    pair = masks([1.0] * 5)
    with pytest.raises(DataError, match="no two of 5 frames are 5 apart; give a longer video or smaller gaps"):
        iou_differences(*pair)
    with pytest.raises(DataError, match=r"masks are \(4, 2, 5\), the truth is \(5, 2, 5\); bring both"):
        iou_differences(pair[0][:4], pair[1])
    with pytest.raises(ConfigError, match=r"gaps \(1, 0\) make no sense: each must be at least 1 frame"):
        iou_differences(*pair, gaps=(1, 0))
