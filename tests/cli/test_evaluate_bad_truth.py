"""Truth that cannot be used: each is named, the rest is scored, and the status says so."""

import json
import shutil

import numpy as np
import pytest
from mask_files import copy_labels, listed, make_shapes, predict_expressions, write_mask
from PIL import Image


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp("shapes") / "data", videos=2, frames=4)


@pytest.fixture
def data(shapes, tmp_path):
    return shutil.copytree(shapes, tmp_path / "data")


@pytest.fixture
def score(vdprobe, shapes, data, tmp_path):
    """Gives (status, report) of right predictions by a protocol."""
    predict_expressions(shapes, tmp_path / "masks")
    copy_labels(shapes, tmp_path / "labels")

    def run(protocol, *options):
        found = tmp_path / ("masks" if protocol == "ytvos" else "labels")
        command = ("evaluate", found, "--protocol", protocol, "--dataset", data, "--split", "val", "--json")
        status, out, err = vdprobe(*command, "--workers", 1, *options)
        return status, json.loads(out) if out else err

    return run


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


BROKEN = {
    "cut": cut,
    "no PNG": lambda path: path.write_bytes(b"nothing"),
    "colours": lambda path: Image.new("RGB", (48, 48)).save(path),
    "another size": lambda path: write_mask(path, np.zeros((10, 10)), "P"),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("protocol", ["ytvos", "davis-semi", "davis-unsup"])
@pytest.mark.parametrize("fault", BROKEN)
def test_bad_masks_are_all_named_and_the_other_video_is_scored(score, data, protocol, fault):
    for frame in (1, 2):
        BROKEN[fault](data / "val" / "Annotations" / "val-00000" / f"0000{frame}.png")
    status, report = score(protocol)
    assert status == 1
    assert report["counts"]["videos"] == 1
    assert report["scores"]["J&F"] == 1
    assert all(line.startswith("val-00000") and line.isprintable() for line in report["unscored"])
    for frame in (1, 2):
        assert any(f"0000{frame}.png" in line for line in report["unscored"])
    assert not report["missing"]


def test_a_missing_frame_of_the_truth_is_one_of_them(score, data):
    (data / "val" / "JPEGImages" / "val-00001" / "00002.jpg").write_bytes(b"nothing")
    status, report = score("ytvos")
    assert (status, report["counts"]["videos"]) == (1, 1)
    assert all("00002.jpg" in line for line in report["unscored"])


def test_an_object_beyond_the_palette_leaves_its_expression_out(score, shapes, data):
    file = data / "meta_expressions" / "val" / "meta_expressions.json"
    videos = listed(shapes)
    videos["val-00000"]["expressions"]["0"]["obj_id"] = 300
    file.write_text(json.dumps({"videos": videos}))
    status, report = score("ytvos")
    assert status == 1
    assert [line.partition(":")[0] for line in report["unscored"]] == ["val-00000/0"]
    assert "the object id '300' is no label of a mask" in report["unscored"][0]
    assert report["counts"]["expressions"] == sum(len(entry["expressions"]) for entry in videos.values()) - 1
    assert report["counts"]["videos"] == 2


def test_truth_that_davis_cannot_score_is_left_out(score, data):
    """The first mask shows nothing."""
    write_mask(data / "val" / "Annotations" / "val-00000" / "00000.png", np.zeros((48, 48)), "P")
    status, report = score("davis-semi")
    assert (status, report["counts"]["videos"]) == (1, 1)
    (line,) = report["unscored"]
    assert line.startswith("val-00000: the first mask shows no object")


def test_nothing_but_bad_truth_is_an_error(score, data):
    for mask in (data / "val" / "Annotations").rglob("00001.png"):
        cut(mask)
    status, err = score("ytvos")
    assert (status, "has nothing to score by 'ytvos'" in err) == (1, True)


def test_workers_find_the_same(score, data, monkeypatch):
    monkeypatch.setattr("vdprobe.studies.evaluate_videos.CHUNK", 1)
    cut(data / "val" / "Annotations" / "val-00000" / "00001.png")
    assert score("ytvos", "--workers", 2) == score("ytvos")
