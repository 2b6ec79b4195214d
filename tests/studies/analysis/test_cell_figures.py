"""A value of every cell, over taps, timesteps and kinds of noise: which rows stand where."""

import pandas as pd
import pytest

from vdprobe.studies.analysis import cell_figures
from vdprobe.studies.analysis.cell_figures import draw_cells
from vdprobe.studies.analysis.config import Shown
from vdprobe.studies.analysis.statistics import differences, summarise
from vdprobe.studies.analysis.tables import Tables
from vdprobe.studies.analysis.video_means import table_means

CELL = ["backbone", "control", "condition", "noise", "timestep", "tap"]
CELLS = [
    ("tiny", False, "vd-i", "gaussian", "0", "unet.up.1"),
    ("tiny", False, "vd-t", "gaussian", "0", "unet.up.1"),
    ("tiny", False, "vd-t", "gaussian", "0", "unet.in"),
    ("tiny", False, "-", "-", "-", "vae.down.2"),
    ("random", True, "vd-t", "gaussian", "0", "unet.up.1"),
    ("random", True, "vd-t", "gaussian", "300", "unet.up.1"),
    ("pixels", True, "-", "-", "-", "pixels.8"),
]
CONFIG = type("Config", (), {"shown": Shown(condition="vd-t", timestep=0), "subject": "tiny"})


@pytest.fixture
def drawn(monkeypatch):
    """(table, options) of each figure, which is not drawn."""
    found = []
    for name in ("draw_dots", "draw_curves"):
        monkeypatch.setattr(cell_figures, name, lambda table, path, **options: found.append((table, options)))
    return found


def make_tables(cells, values):
    """Tables of a value for each video, cell and seed; `values` gives those of a cell."""
    rows = [
        dict(zip(CELL, cell, strict=True)) | {"seed": seed, "video": video, "score": "J", "value": value}
        for cell in cells
        for seed, of_seed in enumerate(values(cell))
        for video, value in enumerate(of_seed)
    ]
    means = table_means(pd.DataFrame(rows), ["score"])
    return Tables(summarise(means), differences(means, "noise"))


def test_dots_are_ordered_from_the_frames_on_and_have_their_own_floor(drawn, tmp_path):
    tables = make_tables(CELLS, lambda cell: [[0.5, 0.6]])
    rows = tables.summary
    floors = rows.assign(mean=range(len(rows)))[:4]
    paths = draw_cells(rows, tables, CONFIG, tmp_path / "x-taps.pdf", axis="x", floors=floors, floor="nothing")
    assert paths == [tmp_path / "x-taps.pdf"]
    ((table, options),) = drawn
    assert table[["label", "group"]].to_numpy().tolist() == [
        ["vae.down.2", "VAE"],
        ["unet.in", "vd-t"],
        ["unet.up.1", "vd-i"],
        ["unet.up.1", "vd-t"],
        ["unet.up.1", "random"],
        ["pixels.8", "pixels"],
    ]
    assert table["floor"].tolist()[:4] == [3, 2, 0, 1]
    assert table["floor"].isna().tolist()[4:] == [True, True]
    assert (options["title"], options["floor"]) == ("tiny at t = 0, gaussian noise", "nothing")


def test_several_timesteps_make_a_line_for_each_tap_and_controls_without_one_are_level(drawn, tmp_path):
    later = [("tiny", False, "vd-t", "gaussian", "1000", tap) for tap in ("unet.in", "unet.up.1")]
    tables = make_tables([*CELLS, *later], lambda cell: [[0.5, 0.6]])
    paths = draw_cells(tables.summary, tables, CONFIG, tmp_path / "x-taps.pdf", axis="x")
    assert [path.name for path in paths] == ["x-taps.pdf", "x-timesteps.pdf"]
    table, options = drawn[1]
    points = table.groupby("series", sort=False)["timestep"].apply(list).to_dict()
    assert points == {
        "unet.in": [0, 1000],
        "unet.up.1": [0, 1000],
        "random, unet.up.1": [0, 300],
        "pixels": [0, 1000],
    }
    assert (options["x"], options["y_label"]) == ("timestep", "x")


def test_more_taps_than_colours_leave_the_shown_one(drawn, tmp_path):
    cells = [("tiny", False, "vd-t", "gaussian", t, f"unet.up.{tap}") for tap in range(8) for t in ("0", "9")]
    tables = make_tables(cells, lambda cell: [[0.5, 0.6]])
    draw_cells(tables.summary, tables, CONFIG, tmp_path / "x.pdf", axis="x")
    assert set(drawn[1][0]["series"]) == {"unet.up.0"}


def test_kinds_of_noise_are_differences_from_the_usual_one_beside_what_a_seed_changes(drawn, tmp_path):
    """No noise is 0.2 above gaussian noise, predicted noise 0.1 below, of which seeds differ by 0.02."""
    level = {"none": 0.7, "gaussian": 0.5, "predicted": 0.4}

    def values(cell):
        apart = 0.02 if cell[3] == "gaussian" else 0
        return [[level[cell[3]] + apart * seed + video for video in (0, 0.1, 0.2)] for seed in (-0.5, 0.5)]

    tables = make_tables([("tiny", False, "vd-t", kind, "0", "unet.in") for kind in level], values)
    paths = draw_cells(tables.summary, tables, CONFIG, tmp_path / "x-taps.pdf", axis="J")
    assert [path.name for path in paths] == ["x-taps.pdf", "x-noises.pdf"]
    table, options = drawn[1]
    found = table.set_index("group")
    assert found["mean"].to_dict() == pytest.approx({"no noise": 0.2, "predicted noise": -0.1})
    assert (found["low"] <= found["mean"]).all() and (found["mean"] <= found["high"]).all()
    assert found["floor"].to_dict() == pytest.approx({"no noise": 0.02 / 2**0.5, "predicted noise": -0.02 / 2**0.5})
    assert set(found["label"]) == {"unet.in, t = 0"}
    assert options["line"] == ("no change", 0)
