"""Propagation as an analysis: what a sample gives, its floor, its picture."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from planted import STRIDE, features_of, measured_of, squares

from vdprobe.analyses.propagation import propagate_labels
from vdprobe.errors import DataError
from vdprobe.specs.load import build
from vdprobe.studies.analysis import propagation
from vdprobe.studies.analysis.propagation import PROPAGATION, headline
from vdprobe.studies.analysis.samples import Sample

FEATURES = {"features": {"model": {"pipeline": "tiny"}, "videos": {"path": "v"}}}
CONFIG = build(PROPAGATION.config, FEATURES)


def values_of(measured, config=CONFIG):
    table = pd.DataFrame(PROPAGATION.measure(measured, config))
    assert not table.duplicated(list(PROPAGATION.keys)).any()
    return table.set_index(["masks", "score"])["value"]


def test_features_of_their_own_carry_the_masks_and_kept_ones_fall_behind():
    found = values_of(measured_of(squares(), stride=1))
    assert found["propagated", "J"] == 1
    assert found["propagated", "J&F"] == 1
    # squares of 2 pixels that move one a frame: J is 1/3 after one, 0 from the second on
    assert found["kept", "J"] == pytest.approx(1 / 9)
    assert found["kept", "J&F"] == pytest.approx((found["kept", "J"] + found["kept", "F"]) / 2)


def test_the_floor_depends_on_the_masks_alone_and_is_made_once(monkeypatch):
    measured = measured_of(squares())
    noise = np.random.default_rng(0).normal(size=measured.features.shape).astype(np.float32)
    first = values_of(measured)
    monkeypatch.setattr(propagation, "_truth", None)  # a second time would call it
    place = measured.sample.objects, measured.sample.size
    assert propagation._kept(*place) is propagation._kept(*place)
    monkeypatch.undo()
    other = values_of(replace(measured, features=noise))
    assert other["kept"].equals(first["kept"])
    assert other["propagated", "J&F"] < first["propagated", "J&F"]


def test_padding_is_not_scored():
    numbers = squares()
    numbers[1:, :, 6:] = 0  # what the last frames have beyond 24 pixels
    whole = values_of(measured_of(numbers))
    cut = measured_of(numbers, size=(8 * STRIDE, 6 * STRIDE))
    assert propagation._carried(cut, CONFIG).shape == (4, 8 * STRIDE, 6 * STRIDE)
    assert values_of(cut)["propagated", "J"] >= whole["propagated", "J"]


def test_an_object_that_vanishes_leaves_no_mask_and_one_that_appears_counts_for_nothing():
    numbers = squares(objects=3)
    numbers[2:][numbers[2:] == 2] = 0
    numbers[0][numbers[0] == 3] = 0
    assert values_of(measured_of(numbers, stride=1))["propagated", "J"] == 1


def test_errors_say_what_to_do():
    numbers = squares()
    numbers[0] = 0
    with pytest.raises(DataError, match="the first mask has no object; begin the clip at a frame that shows one"):
        values_of(measured_of(numbers))
    with pytest.raises(DataError, match="1 frames with 2 objects in the first cannot be scored"):
        values_of(measured_of(squares(frames=1)))


def test_settings_come_from_the_configuration(monkeypatch):
    seen = []
    monkeypatch.setattr(
        propagation,
        "propagate_labels",
        lambda f, m, settings, keys: seen.append(settings) or propagate_labels(f, m, settings, keys),
    )
    values_of(measured_of(squares()), build(PROPAGATION.config, FEATURES | {"propagation": {"topk": 3}}))
    assert [settings.topk for settings in seen] == [3]


def test_the_headline_is_j_and_f(tmp_path):
    table = pd.DataFrame({"score": ["J&F", "J", "F"], "masks": "propagated"})
    assert headline(table)["score"].tolist() == ["J&F"]


def test_a_picture_shows_truth_and_series_with_their_scores(monkeypatch):
    numbers = squares()
    measured = measured_of(numbers, stride=1)
    grey = np.full((4, 8, 8, 3), 100, np.uint8)
    monkeypatch.setattr(Sample, "frames", lambda self: grey)
    noise = replace(measured, features=features_of(np.zeros_like(numbers)))
    rows = PROPAGATION.picture({"good": measured, "none": noise}, CONFIG)
    assert [name.split("\n")[0] for name in rows] == ["true masks", "good", "none"]
    assert list(rows)[1] == "good\nJ&F 1.00"
    np.testing.assert_array_equal(rows["true masks"], rows["good\nJ&F 1.00"])
    assert "J&F 1.00" not in list(rows)[2]
    plain = np.isclose(rows["true masks"], 100 / 255).all(axis=-1)
    np.testing.assert_array_equal(plain, ~np.any(list(measured.sample.objects.masks.values()), axis=0))
