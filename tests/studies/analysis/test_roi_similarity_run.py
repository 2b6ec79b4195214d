"""RoI similarity as an analysis: what a sample gives, and what is drawn of it."""

import numpy as np
import pandas as pd
import pytest
from planted import features_of, measured_of, squares, summary_of

from vdprobe.errors import DataError
from vdprobe.specs.load import build
from vdprobe.studies.analysis.roi_similarity import BINS, KINDS, ROI_SIMILARITY, SHOWN, SPLITS, compared, headline
from vdprobe.studies.analysis.tables import Tables

CONFIG = build(ROI_SIMILARITY.config, {"features": {"model": {"pipeline": "tiny"}, "videos": {"path": "v"}}})


def table_of(*arguments, **options):
    return pd.DataFrame(ROI_SIMILARITY.measure(measured_of(*arguments, **options), CONFIG))


def auc(table, split="all", level="all", estimator=SHOWN):
    rows = table[(table["statistic"] == "AUC") & (table["estimator"] == estimator)]
    return rows[(rows["split"] == split) & (rows["level"] == level)]["value"].item()


def test_features_of_their_own_tell_objects_apart_and_noise_does_not():
    numbers = squares()
    assert auc(table_of(numbers)) == 1
    noise = np.random.default_rng(1).normal(size=(4, 64, 8, 8)).astype(np.float32)
    assert 0.2 < auc(table_of(numbers, noise)) < 0.8


def test_rows_are_unique_and_have_all_keys():
    table = table_of(squares())
    assert not table.duplicated(list(ROI_SIMILARITY.keys)).any()
    assert len(table) == 4 * (1 + 3 * len(SPLITS)) + 2 * BINS


def test_levels_hold_pairs_of_their_own_kind():
    """The squares are 4 of 64 cells, a cell apart, and cover each other nowhere."""
    table = table_of(squares())
    assert auc(table, "size", "5 % and more") == 1
    assert np.isnan(auc(table, "size", "under 1 %"))
    # pairs of one object: boxes of neighbouring frames meet, later ones do not; of two objects: all an eighth apart
    assert np.isnan(auc(table, "gap", "boxes meet"))
    assert np.isnan(auc(table, "gap", "under 10 %"))
    assert auc(table, "occlusion", "under 5 %") == 1
    assert np.isnan(auc(table, "occlusion", "15 % and more"))
    wide = table_of(squares(step=3, cells=16))
    assert auc(wide, "gap", "under 10 %") == 1  # a sixteenth both from square to square and from frame to frame


def test_both_distributions_are_whole():
    table = table_of(squares())
    for kind in KINDS:
        rows = table[table["statistic"] == kind]
        assert rows["value"].sum() == pytest.approx(1)
        assert rows["level"].astype(float).diff().dropna().tolist() == pytest.approx([2 / BINS] * (BINS - 1))
    within = table[table["statistic"] == "within"]
    assert within[within["value"] > 0]["level"].tolist() == ["0.95"]


def test_one_object_has_no_value_and_is_counted():
    table = table_of(squares(objects=1))
    assert table[table["statistic"] == "AUC"]["value"].isna().all()
    rows = table.assign(**dict.fromkeys(("backbone", "condition", "noise", "timestep", "tap"), "-"), control=False)
    summary = summary_of(rows.assign(seed=0, video="v").to_dict("records"), ROI_SIMILARITY.keys)
    assert headline(summary)[["count", "absent"]].to_numpy().tolist() == [[0, 1]]


def test_one_frame_is_an_error():
    with pytest.raises(DataError, match="a clip of one frame shows no object twice; give"):
        table_of(squares(frames=1))


@pytest.fixture
def tables():
    """Of two conditions and a control at two taps, over three videos."""
    numbers, parts = squares(), []
    cells = [("tiny", False, "vd-i"), ("tiny", False, "vd-t"), ("random", True, "vd-t")]
    for k, (backbone, control, condition) in enumerate(cells):
        for tap in ("unet.in", "unet.down.0"):
            for video in range(3):
                noise = np.random.default_rng((k, video)).normal(0, 2, (4, 12, 8, 8)).astype(np.float32)
                rows = table_of(numbers, features_of(numbers) + noise)
                names = {"backbone": backbone, "control": control, "condition": condition, "noise": "gaussian"}
                parts.append(rows.assign(**names, seed=0, timestep="50", tap=tap, video=f"v{video}"))
    return Tables(summary_of(pd.concat(parts).to_dict("records"), ROI_SIMILARITY.keys), pd.DataFrame())


def test_figures_come_from_the_tables_alone(tables, tmp_path):
    paths = ROI_SIMILARITY.draw(tables, CONFIG, tmp_path)
    assert [path.stem for path in paths] == ["roi-similarity", "roi-similarity-splits", "roi-similarity-taps"]
    assert all(path.with_suffix(kind).is_file() for path in paths for kind in (".pdf", ".png", ".csv"))
    bins = pd.read_csv(paths[0].with_suffix(".csv"))
    assert bins["panel"].str.replace(r" \(AUC 0\.\d\d\)", "", regex=True).unique().tolist() == [
        "tiny, vd-i",
        "tiny, vd-t",
        "random",
    ]
    assert bins.groupby(["panel", "series"])["share"].sum().to_numpy() == pytest.approx(1)
    assert set(bins["tap"]) == {"unet.in"}
    splits = pd.read_csv(paths[1].with_suffix(".csv"))
    assert splits["label"].unique().tolist() == [
        *("all pairs", "size, 5 % and more", "gap, 10 % and more", "occlusion, under 5 %")
    ]
    taps = pd.read_csv(paths[2].with_suffix(".csv"))
    assert taps["label"].unique().tolist() == ["unet.in", "unet.down.0"]


def test_bins_of_distributions_are_not_compared(tables):
    assert set(compared(tables.summary)["statistic"]) == {"AUC"}


def test_no_figure_where_the_model_has_no_interval(tables, tmp_path):
    one = tables.summary.assign(count=1)
    assert ROI_SIMILARITY.draw(Tables(one, tables.differences), CONFIG, tmp_path) == []
