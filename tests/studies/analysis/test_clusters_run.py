"""Clusters as an analysis: what a sample gives, and its picture."""

import numpy as np
import pandas as pd
import pytest
from planted import measured_of, squares, summary_of

from vdprobe.errors import DataError
from vdprobe.figures.label_colours import label_colours
from vdprobe.specs.load import build
from vdprobe.studies.analysis import clusters
from vdprobe.studies.analysis.clusters import CLUSTERING, headline
from vdprobe.studies.analysis.tables import Tables

CONFIG = build(CLUSTERING.config, {"features": {"model": {"pipeline": "tiny"}, "videos": {"path": "v"}}})


def values_of(measured):
    table = pd.DataFrame(CLUSTERING.measure(measured, CONFIG))
    assert not table.duplicated(list(CLUSTERING.keys)).any()
    return table.set_index(list(CLUSTERING.keys))["value"]


def test_objects_with_features_of_their_own_keep_their_cluster():
    found = values_of(measured_of(squares()))
    assert found["joint", "objects", "in order"] == 1
    assert found["joint", "objects", "in any order"] < 1
    assert found["joint", "labels", "in any order"] < found["joint", "labels", "in order"] < 1
    assert len(found) == 8


def test_noise_is_at_its_floor():
    numbers = squares(cells=16)
    noise = np.random.default_rng(0).normal(size=(4, 12, 16, 16)).astype(np.float32)
    found = values_of(measured_of(numbers, noise))
    assert abs(found["joint", "labels"]).max() < 0.1


def test_objects_smaller_than_a_cell_have_no_value_and_the_labels_have():
    numbers = squares()
    coarse = measured_of(numbers).features[:, :, ::4, ::4]
    measured = measured_of(numbers, coarse)
    measured = type(measured)(measured.sample, coarse, 16, measured.other)
    found = values_of(measured)
    assert np.isnan(found["joint", "objects"]).all()
    assert np.isfinite(found["joint", "labels"]).all()


def test_errors_say_what_to_do():
    with pytest.raises(DataError, match="1 frames have no next one; give at least 2"):
        values_of(measured_of(squares(frames=1)))


def test_the_largest_cluster_has_the_first_colour_whatever_k_means_calls_it():
    labels = np.array([[[2, 2, 2], [0, 0, 1]]])
    assert clusters._by_size(labels).tolist() == [[[0, 0, 0], [1, 1, 2]]]
    numbers = squares()
    rows = CLUSTERING.picture({"tiny, vd-t": measured_of(numbers)}, CONFIG)
    (row,) = rows.values()
    np.testing.assert_array_equal(row[0, 7, 7], label_colours(np.zeros((1, 1, 1), int))[0, 0, 0])
    assert len(np.unique(row.reshape(-1, 3), axis=0)) == 3


def test_each_figure_has_the_floor_beside_its_dots(tmp_path):
    rows = []
    for backbone, control in (("tiny", False), ("random", True)):
        for video in range(2):
            measured = measured_of(squares())
            for row in CLUSTERING.measure(measured, CONFIG):
                cell = {"backbone": backbone, "control": control, "condition": "vd-t", "noise": "none", "seed": 0}
                rows.append(cell | {"timestep": "0", "tap": "unet.in", "video": f"v{video}"} | row)
    summary = summary_of(rows, CLUSTERING.keys)
    paths = CLUSTERING.draw(Tables(summary, pd.DataFrame()), CONFIG, tmp_path)
    assert sorted(path.stem for path in paths) == [
        *("clusters-joint-labels", "clusters-joint-objects"),
        *("clusters-official-labels", "clusters-official-objects"),
    ]
    drawn = pd.read_csv(tmp_path / "clusters-joint-labels.csv")
    floor = headline(summary)
    floor = floor[(floor["frames"] == "in any order") & (floor["stability"] == "labels")]
    assert drawn["floor"].tolist() == pytest.approx(floor["mean"].tolist())
    assert drawn["mean"].gt(drawn["floor"]).all()
    # where objects are too small for any cell, there is nothing to draw of them
    small = summary.assign(count=summary["count"].where(summary["stability"] == "labels", 0))
    (tmp_path / "small").mkdir()
    paths = CLUSTERING.draw(Tables(small, pd.DataFrame()), CONFIG, tmp_path / "small")
    assert [path.stem for path in paths] == ["clusters-joint-labels", "clusters-official-labels"]
