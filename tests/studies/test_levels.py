"""One table and one figure from analyses of several models."""

import json

import pandas as pd
import pytest

from vdprobe.errors import ConfigError, DataError
from vdprobe.figures.panels import MOST_COLUMNS, draw_panels
from vdprobe.studies.study.levels import LevelsConfig, collect_levels

KEYS = {
    "propagation": {"masks": "propagated", "score": "J&F"},
    "roi-similarity": {
        "estimator": "masked_mean_centred",
        "statistic": "AUC",
        "split": "all",
        "level": "all",
    },
}
PROPAGATION = KEYS["propagation"]


@pytest.fixture
def planted(tmp_path):
    """Analyses with values that say where they are from: a hundred times the block, and the timestep."""

    def write(name, arm, model, timesteps, taps, mode="native"):
        folder = tmp_path / name / arm
        folder.mkdir(parents=True)
        record = {"config": {"features": {"model": {"pipeline": model}, "latent_frames": mode}}}
        (folder / "analysis.json").write_text(json.dumps(record))
        rows = [
            {"backbone": model, "control": False, "condition": "vd-t", "noise": "gaussian", "timestep": t, "tap": tap}
            | KEYS[name]
            | {"mean": 0.5, "low": 0.4, "high": 0.6, "count": 4, "absent": 0, "seeds": 1, "seed_sd": None}
            for t in timesteps
            for tap in taps
        ]
        control = rows[0] | {"backbone": "pixels", "control": True}
        pd.DataFrame([*rows, control]).to_csv(folder / "summary.csv", index=False)
        return str(tmp_path / name)

    return write


def test_levels_of_models_are_told_in_one_unit(planted, tmp_path):
    places = {}
    for name in KEYS:
        places[name] = planted(name, "t2v", "random:tiny", (-1, 49), ("unet.up.1", "unet.up.2"))
        taps = ("blocks.1", "blocks.2", "blocks.2.q", "blocks.2.k")
        planted(name, "wan", "random:tiny-wan", (0, 182.425524), taps)
        planted(name, "alone", "random:tiny-wan", (182.425524,), taps, "frame-as-latent")
    published = ({"study": "DiffTrack", "tap": "block 17"},)
    (figure,) = collect_levels(LevelsConfig(analyses=places, published=published), tmp_path)
    table = pd.read_csv(tmp_path / "levels.csv")
    assert len(table) == 2 * (2 * 2 + 2 * 4 + 4)  # without controls
    at = table.set_index(["model", "mode", "tap", "t", "measure"]).sort_index()
    jf = "label propagation, J&F"
    unet = at.loc[("random:tiny", "native", "unet.up.1", "49", jf)]
    wan = at.loc[("random:tiny-wan", "native", "blocks.2.q", "182.425524", jf)]
    assert unet["logsnr"] == pytest.approx(3.0, abs=0.01)
    assert wan["logsnr"] == pytest.approx(3.0, abs=1e-4)
    assert (wan["kind"], wan["block"]) == ("QK", 2)
    assert set(table.loc[table["t"] == "clean", "logsnr"]) == {float("inf")}
    assert set(table["kind"]) == {"hidden", "QK", "K"}
    text = (tmp_path / "table.md").read_text()
    assert "What others read" in text
    assert "| DiffTrack | block 17 |" in text
    assert figure.exists()
    drawn = pd.read_csv(figure.with_suffix(".csv"))
    assert set(drawn["tap"]) == {"unet.up.2", "blocks.2", "blocks.2.q", "blocks.2.k"}
    assert set(drawn.loc[drawn["dashed"], "mode"]) == {"frame-as-latent"}


def test_taps_of_the_figure_can_be_named(planted, tmp_path):
    place = planted("propagation", "t2v", "random:tiny", (49,), ("unet.up.1", "unet.up.2"))
    config = LevelsConfig(analyses={"propagation": place}, blocks={"tiny": ("unet.up.1",)})
    (figure,) = collect_levels(config, tmp_path)
    assert set(pd.read_csv(figure.with_suffix(".csv"))["tap"]) == {"unet.up.1"}


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(DataError, match="no analysis has been run in"):
        collect_levels(LevelsConfig(analyses={"propagation": str(tmp_path)}), tmp_path)
    with pytest.raises(ConfigError, match="levels shows propagation and roi-similarity, and not 'layers'"):
        LevelsConfig(analyses={"layers": str(tmp_path)})


def test_panels_have_their_limits(tmp_path):
    point = {"row": "a", "series": "s", "dashed": False, "mean": 1.0, "low": 0.5, "high": 1.5, "x": 0.0}
    table = pd.DataFrame([{"column": str(i)} | point for i in range(MOST_COLUMNS + 1)])
    with pytest.raises(DataError, match="more than the 8"):
        draw_panels(table, tmp_path / "a", x="x", x_label="x", caption="c")
    with pytest.raises(DataError, match="no rows"):
        draw_panels(table[:0], tmp_path / "a", x="x", x_label="x", caption="c")
    draw_panels(table[:1], tmp_path / "a", x="x", x_label="x", caption="c")
    assert (tmp_path / "a.pdf").exists()
