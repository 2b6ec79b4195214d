"""Several evaluations as one table: its means are those of the protocol, its pairs are videos."""

import json

import pandas as pd
import pytest

from vdprobe.errors import ConfigError, DataError
from vdprobe.studies.analysis.table_files import read_table
from vdprobe.studies.study import collect as collect_module
from vdprobe.studies.study.collect import CollectConfig, collect


@pytest.fixture
def evaluations(tmp_path):
    """Makes an evaluation of an arm and seed: J of each expression in two frames around its score; F is 0.1 more."""

    def make(arm, seed, scores):
        folder = tmp_path / arm / str(seed)
        folder.mkdir(parents=True)
        rows = [
            {"video": video, "expression": str(k), "object": "1", "frame": frame, "J": j + apart, "F": j + apart + 0.1}
            for video, of_video in scores.items()
            for k, j in enumerate(of_video)
            for frame, apart in enumerate((-0.01, 0.01))
        ]
        pd.DataFrame(rows).to_csv(folder / "rows.csv", index=False)
        (folder / "report.json").write_text(json.dumps({"split": "test"}))
        return str(tmp_path / arm)

    return make


def test_means_are_over_expressions_as_in_the_protocol_and_pairs_over_videos(evaluations, tmp_path):
    few, many = [0.9], [0.1, 0.2, 0.3]
    ours = evaluations("ours", 0, {"001": few, "002": many})
    evaluations("ours", 1, {"001": few, "002": [j + 0.1 for j in many]})
    control = evaluations("control", 0, {"001": few, "002": [j - 0.1 for j in many]})
    config = CollectConfig(arms={"ours": ours, "control": control}, controls=("control",), paper={"ours": 64.8})
    figures = collect(config, tmp_path)
    assert [path.name for path in figures] == ["scores.pdf"] and figures[0].exists()
    summary = read_table(tmp_path / "summary.csv").set_index(["condition", "metric"])
    first = (0.9 + 0.1 + 0.2 + 0.3) / 4
    assert summary.loc[("ours", "J"), "mean"] == pytest.approx(100 * (first + 0.1 * 3 / 4 / 2))
    assert summary.loc[("ours", "J&F"), "mean"] == pytest.approx(100 * (first + 0.1 * 3 / 4 / 2 + 0.05))
    assert summary.loc[("ours", "J"), "seeds"] == 2
    assert summary.loc[("control", "J"), "mean"] == pytest.approx(100 * (first - 0.1 * 3 / 4))
    change = read_table(tmp_path / "differences.csv").set_index("metric").loc["J"]
    assert (change["first"], change["second"]) == ("ours", "control")
    assert change["mean"] == pytest.approx(100 * 0.15 * 3 / 4)
    assert change["count"] == 2
    text = (tmp_path / "table.md").read_text()
    assert "64.8 (another model, other data)" in text


def test_that_one_seed_says_nothing_of_another_training_is_told(evaluations, tmp_path, monkeypatch):
    captions = []
    (tmp_path / "both").mkdir()
    (tmp_path / "one").mkdir()
    monkeypatch.setattr(collect_module, "draw_dots", lambda *_, caption, **__: captions.append(caption))
    twice = evaluations("ours", 0, {"001": [0.5], "002": [0.7]})
    evaluations("ours", 1, {"001": [0.5], "002": [0.7]})
    collect(CollectConfig(arms={"ours": twice}), tmp_path / "both")
    once = evaluations("control", 0, {"001": [0.5], "002": [0.7]})
    collect(CollectConfig(arms={"ours": twice, "control": once}), tmp_path / "one")
    told = "they do not say how far another training would fall"
    assert captions[0] == "" and told in captions[1]
    assert told not in (tmp_path / "both" / "table.md").read_text()
    assert (tmp_path / "one" / "table.md").read_text().endswith(f"{told}.\n")


def test_one_video_has_a_table_and_no_figure(evaluations, tmp_path):
    assert collect(CollectConfig(arms={"ours": evaluations("ours", 0, {"001": [0.5, 0.7]})}), tmp_path) == []
    assert read_table(tmp_path / "summary.csv").set_index("metric").loc["J", "mean"] == pytest.approx(60)


def test_what_is_missing_is_named(evaluations, tmp_path):
    with pytest.raises(DataError, match=r"holds no evaluation .* evaluate the arm 'ours' first"):
        collect(CollectConfig(arms={"ours": str(tmp_path / "nowhere")}), tmp_path)
    place = evaluations("ours", 0, {"001": [0.5]})
    with pytest.raises(DataError, match="has no column 'IoU'; it has video, expression"):
        collect(CollectConfig(arms={"ours": place}, metrics=("IoU",)), tmp_path)
    with pytest.raises(ConfigError, match="the control 'their' is not one of the arms: ours"):
        CollectConfig(arms={"ours": place}, controls=("their",))


DAMAGE = {
    "rows.csv": [b"", b"\xff\xfe", b"video,J\n1,2,3,4\n", b"video,expression,object,frame,J,F\nv,0,1,0,high,low\n"],
    "report.json": [b"", b"[]", b"{", b"\xff"],
}


@pytest.mark.parametrize(("name", "content"), [(name, content) for name in DAMAGE for content in DAMAGE[name]])
def test_a_damaged_evaluation_is_one_line(evaluations, tmp_path, name, content):
    ours = evaluations("ours", 0, {"001": [0.9], "002": [0.1]})
    (tmp_path / "ours" / "0" / name).write_bytes(content)
    with pytest.raises(DataError, match=str(tmp_path / "ours" / "0")) as caught:
        collect(CollectConfig(arms={"ours": ours}), tmp_path)
    assert "\n" not in str(caught.value)
