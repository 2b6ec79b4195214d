"""`vdprobe analyze` of what looks at all videos at once, at several lights, or at masks, as a user types it."""

import json

import numpy as np
import pandas as pd
import pytest
from mask_files import predict_expressions

from vdprobe.data.moving_shapes.write import write_moving_shapes

VIDEOS = 5


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shapes"
    write_moving_shapes(folder, {"val": VIDEOS}, frames=3, side=64)
    return folder


@pytest.fixture
def analyze(vdprobe, shapes, tmp_path):
    """Of raw pixels, so that there is no model to load; gives (status, report, folder)."""

    def run(name, *more):
        options = ("--model", "pixels", "--videos", shapes, "--split", "val", "--tap", "pixels.8,pixels.16")
        sizes = ("--set", "features.clips.frames=3", "--set", "features.resize.short_side=64")
        place = ("--store", tmp_path / "store", "--out", tmp_path / name, "--workers", 1, "--json")
        status, out, err = vdprobe("analyze", name, *options, *sizes, *place, *more)
        return status, json.loads(out) if out else err, tmp_path / name

    return run


def test_probe(analyze):
    status, report, out = analyze("probe", "--set", "tasks=[object]")
    assert status == 0, report
    assert {row["tap"]: row["count"] for row in report["result"]} == {"pixels.8": VIDEOS, "pixels.16": VIDEOS}
    values = pd.read_csv(out / "values.csv")
    assert set(values["labels"]) == {"real", "shuffled"}
    assert (values.groupby(["tap", "score", "labels"])["video"].nunique() == VIDEOS).all()
    differences = pd.read_csv(out / "differences.csv")
    chosen = differences[(differences["factor"] == "labels") & (differences["score"] == "auc")]
    assert chosen[["first", "second"]].drop_duplicates().to_numpy().tolist() == [["real", "shuffled"]]
    assert [path.rpartition("/")[2] for path in report["figures"]] == ["probe-object.pdf"]
    status, report, _ = analyze("probe", "--set", "tasks=[color]", "--out", out / "other")
    assert status == 2
    assert "task 'color' is no word that the dataset has for its objects: did you mean 'colour'?" in report


def test_layers(analyze):
    status, report, out = analyze("layers")
    assert status == 0, report
    summary = pd.read_csv(out / "summary.csv")
    pair = summary[(summary["statistic"] == "cka") & (summary["over"] == "video")]
    assert pair[["tap", "other_tap", "count"]].to_numpy().tolist() == [["pixels.16", "pixels.8", VIDEOS]]
    assert 0 < pair["mean"].item() < 1.01
    names = [path.rpartition("/")[2] for path in report["figures"]]
    assert names == ["layers-entropy-rank.pdf", "layers-top-share.pdf", "layers-cka.pdf"]


def test_lighting(analyze):
    options = ("kinds=[brightness, shadow]", "strengths=[0, 0.3, 1]", "features.videos.limit=2", "shown.videos=1")
    status, report, out = analyze("lighting", *(word for option in options for word in ("--set", option)))
    assert status == 0, report
    assert report["extracted"] == 2 * 5  # both videos as they are, and under each light
    summary = pd.read_csv(out / "summary.csv")
    rows = summary[(summary["measure"] == "cosine") & (summary["region"] == "object") & (summary["tap"] == "pixels.8")]
    for kind in ("brightness", "shadow"):
        means = rows[rows["kind"] == kind].sort_values("strength")["mean"].to_numpy()
        assert means[0] == 1
        assert (np.diff(means) < 0).all()
    assert [path.rpartition("/")[2] for path in report["pictures"]] == ["lighting-val-00000.png"]
    assert len(report["figures"]) == 4
    status, report, _ = analyze("lighting", "--set", "kinds=[sunset]")
    assert (status, "brightness" in report) == (2, True)


def test_stability(vdprobe, shapes, tmp_path):
    predict_expressions(shapes, tmp_path / "masks")
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        f"predictions: {{right: {tmp_path / 'masks'}}}\nvideos: {{path: {shapes}, split: val}}\ngaps: [1, 2]\n"
    )
    arguments = ("analyze", "stability", spec, "--out", tmp_path / "out", "--workers", 1)
    status, out, err = vdprobe(*arguments, "--json")
    assert status == 0, err
    report = json.loads(out)
    rows = {(row["backbone"], row["measure"]): row["mean"] for row in report["result"]}
    assert [rows["right", name] for name in ("IoU", "change over 1 frame", "change over 2 frames")] == [100, 0, 0]
    assert rows["whole frame", "IoU"] < 50
    status, _, err = vdprobe(*arguments, "--set", "gaps=[3]")
    assert status == 2
    assert "holds a result with another 'gaps'" in err
