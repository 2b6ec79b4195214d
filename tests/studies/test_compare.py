"""Scores beside published ones: the protocol's own numbers, with intervals over videos."""

import json

import numpy as np
import pandas as pd
import pytest

from vdprobe.errors import ConfigError, DataError
from vdprobe.metrics.intervals import DRAWS, bootstrap_interval
from vdprobe.specs.load import build
from vdprobe.studies.study.compare import CompareConfig, compare


def write_evaluation(folder, tracks, **more):
    """`tracks`: of each video J of its tracks, two frames each; F is half of it."""
    rows = [
        {"video": video, "expression": f"{k}", "object": "1", "frame": f"0000{frame}", "J": j + sign, "F": j / 2}
        for video, found in tracks.items()
        for k, j in enumerate(found)
        for frame, sign in enumerate((0.1, -0.1))
    ]
    j = float(np.mean([j for found in tracks.values() for j in found]))
    report = {
        "protocol": "ytvos", "split": "valid", "scores": {"J&F": 0.75 * j, "J": j, "F": j / 2},
        "counts": {"videos": len(tracks), "expressions": 0}, "missing": [], "unscored": [], "extra": [], "notes": [],
    }  # fmt: skip
    folder.mkdir(parents=True)
    pd.DataFrame(rows).to_csv(folder / "rows.csv", index=False)
    (folder / "report.json").write_text(json.dumps(report | more))
    return str(folder)


def table_of(config, folder):
    folder.mkdir()
    compare(config, folder)
    return pd.read_csv(folder / "table.csv").set_index(["evaluation", "score", "source"])


def draw_ratios(tracks):
    """The interval of the mean over tracks, by drawing videos and taking that mean anew each time."""
    rng = np.random.default_rng(1)
    sums, counts = (np.array([f(found) for found in tracks.values()]) for f in (sum, len))
    drawn = rng.integers(len(tracks), size=(DRAWS, len(tracks)))
    return np.percentile(sums[drawn].sum(1) / counts[drawn].sum(1), [2.5, 97.5])


def test_one_track_a_video_has_the_interval_of_the_videos(tmp_path):
    tracks = {f"v{k}": [j] for k, j in enumerate((0.2, 0.5, 0.6, 0.9))}
    table = table_of(CompareConfig(evaluations={"a": write_evaluation(tmp_path / "a", tracks)}), tmp_path / "out")
    expected = bootstrap_interval(np.array([20.0, 50.0, 60.0, 90.0]))
    found = table.loc["a", "J", "ours"]
    assert found["value"] == pytest.approx(expected.mean)
    assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))
    assert table.loc[("a", "F", "ours"), "high"] == pytest.approx(expected.high / 2)
    assert table.loc[("a", "J&F", "ours"), "low"] == pytest.approx(0.75 * expected.low)


def test_a_video_weighs_as_much_as_it_has_tracks(tmp_path):
    draw = np.random.default_rng(0)
    tracks = {f"{k:03d}": list(0.3 + 0.05 * n + 0.1 * draw.random(n)) for k, n in enumerate(draw.integers(1, 9, 60))}
    table = table_of(CompareConfig(evaluations={"a": write_evaluation(tmp_path / "a", tracks)}), tmp_path / "out")
    found, expected = table.loc["a", "J", "ours"], 100 * draw_ratios(tracks)
    assert found["value"] == pytest.approx(100 * np.mean([j for found in tracks.values() for j in found]))
    assert (found["low"], found["high"]) == pytest.approx(tuple(expected), abs=0.1 * (expected[1] - expected[0]))
    over_videos = bootstrap_interval(np.array([100 * np.mean(found) for found in tracks.values()]))
    assert not over_videos.low < found["value"] < over_videos.high  # the mean over videos is another number


def test_published_numbers_stand_beside_the_scores_they_are_of(tmp_path):
    places = {name: write_evaluation(tmp_path / name, {"v": [0.5], "w": [0.5]}) for name in ("a", "b")}
    published = {"VD-IT": {"a": {"J&F": 64.8}}, "SgMg": {"a": {"J&F": 61.6, "J": 59.7}}}
    table = table_of(CompareConfig(evaluations=places, published=published), tmp_path / "out")
    assert table.loc[("a", "J&F", "SgMg"), "value"] == 61.6
    assert len(table) == 2 * 3 + 3
    lines = (tmp_path / "out" / "table.md").read_text().splitlines()
    assert lines[0] == "| evaluation | score | ours | 95 % interval over videos | VD-IT | SgMg |"
    assert lines[2:4] == [
        "| a | J&F | 37.5 | 37.5 to 37.5 | 64.8 | 61.6 |",
        "| a | J | 50.0 | 50.0 to 50.0 |  | 59.7 |",
    ]
    assert lines[5] == "| b | J&F | 37.5 | 37.5 to 37.5 |  |  |"


def test_one_video_and_images_have_no_interval(tmp_path):
    one = write_evaluation(tmp_path / "one", {"v": [0.5, 0.6]})
    images = write_evaluation(tmp_path / "images", {"v": [0.5]}, scores={"mean IoU": 0.25})
    pd.DataFrame({"image": ["v", "w"], "IoU": [0.2, 0.3]}).to_csv(tmp_path / "images" / "rows.csv", index=False)
    table = table_of(CompareConfig(evaluations={"one": one, "images": images}), tmp_path / "out")
    assert table["low"].isna().all()
    assert "| images | mean IoU | 25.0 |  |" in (tmp_path / "out" / "table.md").read_text()


def test_what_is_missing_is_said(tmp_path):
    place = write_evaluation(tmp_path / "a", {"v": [0.5]}, missing=["v/1", "w"], unscored=["x"], notes=["a note"])
    table_of(CompareConfig(evaluations={"a": place}), tmp_path / "out")
    last = (tmp_path / "out" / "table.md").read_text().splitlines()[-1]
    assert last == (
        "- a: 1 videos, 2 missing, scored 0, 1 without usable truth, not scored, 0 extra, not scored; a note"
    )


def test_what_cannot_be_compared(tmp_path):
    place = write_evaluation(tmp_path / "a", {"v": [0.5]})
    with pytest.raises(DataError, match=r"none holds no evaluation .*; evaluate 'a' first"):
        compare(CompareConfig(evaluations={"a": str(tmp_path / "none")}), tmp_path)
    with pytest.raises(ConfigError, match=r"'VD-IT' has 'F&J' of 'a', which it does not give: .*valid: J&F, J, F"):
        compare(CompareConfig(evaluations={"a": place}, published={"VD-IT": {"a": {"F&J": 1.0}}}), tmp_path)
    with pytest.raises(ConfigError, match="'VD-IT' is of 'ytvs', which is none of the evaluations: did you mean"):
        build(CompareConfig, {"evaluations": {"ytvos": place}, "published": {"VD-IT": {"ytvs": {"J": 1.0}}}})
    with pytest.raises(ConfigError, match="published 'ours' would hide our own numbers"):
        CompareConfig(evaluations={"a": place}, published={"ours": {"a": {"J": 1.0}}})
    assert not (tmp_path / "table.csv").exists()


DAMAGE = {
    "rows.csv": [b"", b"\xff\xfe", b"video,expression,object,frame,J,F\nv,0,1,0,high,low\n"],
    "report.json": [b"", b"[]", b"{", b"\xff"],
}


@pytest.mark.parametrize(("name", "content"), [(name, content) for name in DAMAGE for content in DAMAGE[name]])
def test_a_damaged_evaluation_is_one_line(tmp_path, name, content):
    place = write_evaluation(tmp_path / "a", {"v": [0.5], "w": [0.6]})
    (tmp_path / "a" / name).write_bytes(content)
    with pytest.raises(DataError, match=str(tmp_path / "a")) as caught:
        table_of(CompareConfig(evaluations={"a": place}), tmp_path / "out")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("changed", [{"scores": []}, {"scores": {"J": "high"}}, {"counts": None}, {"notes": [1]}])
def test_a_report_that_is_none_is_one_line(tmp_path, changed):
    place = write_evaluation(tmp_path / "a", {"v": [0.5], "w": [0.6]}, **changed)
    with pytest.raises(DataError, match=r"a holds no whole evaluation \(.*\); evaluate 'a' again"):
        table_of(CompareConfig(evaluations={"a": place}), tmp_path / "out")
