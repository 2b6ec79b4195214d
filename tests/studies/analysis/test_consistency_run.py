"""Consistency as an analysis: what a sample gives, and what is drawn of it."""

from dataclasses import replace

import numpy as np
import pandas as pd
from planted import features_of, measured_of, squares, summary_of

from vdprobe.specs.load import build
from vdprobe.studies.analysis.consistency import CONSISTENCY, headline
from vdprobe.studies.analysis.tables import Tables

CONFIG = build(CONSISTENCY.config, {"features": {"model": {"pipeline": "tiny"}, "videos": {"path": "v"}}})


def table_of(measured):
    return pd.DataFrame(CONSISTENCY.measure(measured, CONFIG))


def test_an_object_resembles_itself_and_neither_others_nor_another_video():
    numbers = squares(cells=16)
    other = np.random.default_rng(3).normal(size=(4, 12, 16, 16)).astype(np.float32)
    table = table_of(replace(measured_of(numbers), other=lambda: other))
    means = table[table["estimator"] == "masked_mean_centred"].groupby("region")["value"].mean()
    assert means["object"] > 0.99
    assert means[["other", "background", "shuffled"]].max() < 0.5
    assert set(table["gap"]) == {1, 2, 3}


def test_only_objects_that_are_meant_are_looked_at():
    measured = measured_of(squares())
    one = replace(measured, sample=replace(measured.sample, targets=("2",)))
    assert len(table_of(one)) * 2 == len(table_of(measured))


def test_another_video_with_fewer_frames_gives_no_row():
    short = replace(measured_of(squares()), other=lambda: features_of(squares(frames=3)))
    assert "shuffled" not in set(table_of(short)["region"])


def test_figures_and_the_headline(tmp_path):
    rows = []
    for video in range(2):
        measured = measured_of(squares(cells=16))
        for backbone, control in (("tiny", False), ("random", True)):
            cell = {"backbone": backbone, "control": control, "condition": "vd-t", "noise": "none", "timestep": "0"}
            names = {**cell, "seed": 0, "tap": "unet.in", "video": f"v{video}"}
            rows += [names | row for row in table_of(measured).to_dict("records")]
    summary = summary_of(rows, CONSISTENCY.keys)
    assert headline(summary)["gap"].unique().tolist() == [3]
    paths = CONSISTENCY.draw(Tables(summary, pd.DataFrame()), CONFIG, tmp_path)
    assert [path.stem for path in paths] == [
        *("consistency-paper", "consistency-paper-taps"),
        *("consistency-masked_mean_centred", "consistency-masked_mean_centred-taps"),
    ]
    drawn = pd.read_csv(tmp_path / "consistency-paper.csv")
    assert drawn["series"].unique().tolist() == ["tiny, vd-t", "random", "other objects", "background"]
