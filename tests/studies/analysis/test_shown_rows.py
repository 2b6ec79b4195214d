"""Which rows figures, pictures and the screen show, and what they are called."""

import pandas as pd
import pytest

from vdprobe.errors import DataError
from vdprobe.studies.analysis.config import Shown, with_controls
from vdprobe.studies.analysis.series import describe, pick, series_names, shown_place
from vdprobe.studies.analysis.short import short_table

CELLS = [
    ("tiny", False, "vd-i", "gaussian", "0", "unet.up.1"),
    ("tiny", False, "vd-t", "gaussian", "0", "unet.up.1"),
    ("tiny", False, "vd-t", "gaussian", "300", "unet.up.1"),
    ("tiny", False, "vd-t", "gaussian", "0", "unet.in"),
    ("tiny", False, "-", "-", "-", "vae.down.2"),
    ("random", True, "vd-t", "gaussian", "0", "unet.up.1"),
    ("random", True, "vd-t", "gaussian", "300", "unet.up.1"),
    ("pixels", True, "-", "-", "-", "pixels.8"),
]


@pytest.fixture
def summary():
    names = ["backbone", "control", "condition", "noise", "timestep", "tap"]
    table = pd.DataFrame(CELLS, columns=names)
    values = {"mean": 0.51234567, "low": 0.4, "high": 0.6, "count": 5, "absent": 0, "seeds": 1, "seed_sd": float("nan")}
    return table.assign(**values)


def test_what_is_not_asked_for_is_the_first_of_the_model_itself(summary):
    expected = {"tap": "unet.up.1", "timestep": "0", "condition": "vd-i", "noise": "gaussian"}
    assert shown_place(summary, Shown()) == expected
    assert shown_place(summary.iloc[::-1], Shown())["timestep"] == "0"  # never the VAE's or a control's
    assert shown_place(summary, Shown(timestep=300)) == expected | {"timestep": "300", "condition": "vd-t"}
    assert shown_place(summary, Shown(tap="vae.down.2"))["condition"] == "-"


def test_a_place_that_is_not_there_names_those_that_are(summary):
    with pytest.raises(DataError, match=r"shown.tap \(=unet.up.2\) is not in the tables: did you mean 'unet.up.1'"):
        shown_place(summary, Shown(tap="unet.up.2"))
    with pytest.raises(DataError, match=r"shown.timestep \(=7\) is not in the tables: .*valid: 0, 300"):
        shown_place(summary, Shown(timestep=7))
    with pytest.raises(DataError, match="the tables hold no value of the model itself"):
        shown_place(summary[summary["control"]], Shown())


def test_series_are_the_model_s_conditions_and_what_each_control_has(summary):
    rows = pick(summary, shown_place(summary, Shown()))
    assert series_names(rows, "tiny").tolist() == ["tiny, vd-i", "tiny, vd-t", "random", "pixels"]
    assert rows["timestep"].tolist() == ["0", "0", "0", "-"]
    rows = pick(summary, shown_place(summary, Shown(timestep=300)))
    assert rows[["backbone", "timestep"]].to_numpy().tolist() == [["tiny", "300"], ["random", "300"], ["pixels", "-"]]


def test_a_place_in_words():
    place = {"tap": "unet.in", "timestep": "50", "condition": "vd-t", "noise": "gaussian"}
    assert describe(place) == "unet.in at t = 50, gaussian noise"
    assert describe({"tap": "pixels.8", "timestep": "-", "condition": "-", "noise": "-"}) == "pixels.8"


def test_a_short_table_has_one_timestep_and_only_columns_that_differ(summary):
    short = short_table(summary, Shown())
    assert list(short) == [
        "backbone",
        "control",
        "condition",
        "noise",
        "timestep",
        "tap",
        "mean",
        "low",
        "high",
        "count",
    ]
    assert len(short) == len(CELLS) - 2
    assert set(short["timestep"]) == {"0", "-"}
    assert short["mean"].tolist() == [0.5123] * len(short)
    alone = summary[(summary["backbone"] == "tiny") & (summary["tap"] == "unet.up.1")]
    assert list(short_table(alone, Shown())) == ["backbone", "condition", "mean", "low", "high", "count"]
    more = summary.assign(absent=[0] * 7 + [2], seeds=3, seed_sd=0.1)
    assert list(short_table(more, Shown()))[-3:] == ["seed_sd", "count", "absent"]


def test_a_control_without_the_shown_timestep_keeps_its_own(summary):
    other = summary.replace({"timestep": {"300": "500"}})
    other.loc[other["backbone"] == "random", "timestep"] = "700"
    assert set(short_table(other, Shown())["timestep"]) == {"0", "-", "700"}


@pytest.mark.parametrize(
    ("model", "controls"),
    [
        ("tiny-t2v", ["random UNet", "VAE latents", "pixels"]),
        ("org/model@main", ["random UNet", "VAE latents", "pixels"]),
        ("random:tiny", ["VAE latents", "pixels"]),
        ("random-unet:tiny-t2v", ["VAE latents", "pixels"]),
        ("vision:org/model", ["pixels"]),
        ("video-swin:b", ["pixels"]),
        ("random-video-swin:t:1", ["pixels"]),
        ("pixels", []),
    ],
)
def test_controls_that_a_model_can_have_come_by_default(model, controls):
    values = {"features": {"model": {"pipeline": model}}}
    found = with_controls(values)["controls"]
    assert list(found) == controls
    assert with_controls(values | {"controls": {}})["controls"] == {}
    if "random UNet" in found:
        assert found["random UNet"]["model"]["pipeline"] == f"random-unet:{model}"
