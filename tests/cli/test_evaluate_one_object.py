"""Scores against masks of 0 and 255 alone, as DAVIS published them in 2016."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from mask_files import copy_labels, listed, make_shapes, predict_expressions, read_mask, write_mask

SHARED = Path(__file__).parents[2] / "../shared"
NOTE = "masks hold 0 and 255 alone, as in DAVIS 2016: 255 is read as object 1, in predictions of such videos too"


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """Videos whose expressions and masks are of object 1 alone."""
    data = make_shapes(tmp_path_factory.mktemp("numbered") / "data")
    videos = listed(data)
    for entry in videos.values():
        entry["expressions"] = {id: e for id, e in entry["expressions"].items() if e["obj_id"] == "1"}
    (data / "meta_expressions/val/meta_expressions.json").write_text(json.dumps({"videos": videos}))
    for path in (data / "val/Annotations").rglob("*.png"):
        write_mask(path, read_mask(path) == 1, "P")
    return data


@pytest.fixture(scope="module")
def old(numbered, tmp_path_factory):
    """The same with masks of 0 and 255."""
    data = tmp_path_factory.mktemp("old") / "data"
    shutil.copytree(numbered, data)
    paint(data / "val/Annotations")
    return data


def paint(masks):
    for path in masks.rglob("*.png"):
        write_mask(path, 255 * (read_mask(path) > 0))


@pytest.fixture
def score(vdprobe):
    """Gives (status, report, stderr)."""

    def run(protocol, dataset, predictions, *options):
        command = ("evaluate", predictions, "--protocol", protocol, "--dataset", dataset, "--split", "val", "--json")
        status, out, err = vdprobe(*command, "--workers", 1, *options)
        return status, json.loads(out) if out else None, err

    return run


def predict(numbered, folder, protocol):
    """Masks that are not quite right."""
    if protocol == "refdavis-visa":
        predict_expressions(numbered, folder)
    elif protocol == "refdavis-referformer":
        for k in range(4):
            copy_labels(numbered, folder / f"anno_{k}")
    else:
        copy_labels(numbered, folder)
    for path in folder.rglob("*.png"):
        write_mask(path, np.roll(read_mask(path), 3, axis=1))
    return folder


@pytest.mark.parametrize("protocol", ["davis-semi", "davis-unsup", "refdavis-referformer", "refdavis-visa"])
def test_scores_are_those_of_masks_of_0_and_1(score, numbered, old, tmp_path, protocol):
    masks = predict(numbered, tmp_path / "masks", protocol)
    status, expected, _ = score(protocol, numbered, masks)
    assert (status, expected["notes"]) == (0, [])
    assert 0 < expected["scores"]["J"] < 1
    first = next(iter(listed(old)))
    note = f"{NOTE}: 3 videos, the first is {first}"
    for change in (lambda _: None, paint):  # predictions of 1, then of 255
        change(masks)
        status, report, err = score(protocol, old, masks)
        assert (status, report["scores"], report["counts"]) == (0, expected["scores"], expected["counts"]), err
        assert report["notes"] == [note]
        assert f"note: {note}" in err


def test_predictions_of_255_are_refused_where_the_masks_number_objects(score, numbered, tmp_path):
    """As davis2017-evaluation does."""
    copy_labels(numbered, tmp_path / "masks")
    paint(tmp_path / "masks")
    status, _, err = score("davis-semi", numbered, tmp_path / "masks")
    assert (status, "numbers an object 255 and there are 1" in err) == (1, True)


def test_predictions_of_1_and_255_are_refused(score, old, numbered, tmp_path):
    copy_labels(numbered, tmp_path / "masks")
    path = next((tmp_path / "masks").rglob("00001.png"))
    write_mask(path, np.full((48, 48), 255))
    status, _, err = score("davis-semi", old, tmp_path / "masks")
    assert (status, "numbers an object 255 and there are 1" in err) == (1, True)


def test_expressions_of_other_objects_are_told(score, old, tmp_path):
    """0 and 255 do not tell a second object, and what is object 1 may then be both."""
    data = tmp_path / "data"
    shutil.copytree(old, data)
    videos = listed(data)
    video = next(id for id, entry in videos.items() if entry["expressions"])
    videos[video]["expressions"]["99"] = {"exp": "the other one", "obj_id": "2"}
    (data / "meta_expressions/val/meta_expressions.json").write_text(json.dumps({"videos": videos}))
    masks = tmp_path / "masks"
    for id, entry in videos.items():
        for expression in entry["expressions"]:
            shutil.copytree(data / "val/Annotations" / id, masks / id / expression)
    status, report, _ = score("refdavis-visa", data, masks)
    assert status == 0
    told = [note for note in report["notes"] if "do not tell objects apart" in note]
    assert [note.rpartition(": ")[2] for note in told] == [f"1 videos, the first is {video}"]


def test_the_size_of_a_part_changes_nothing(score, numbered, old, tmp_path, monkeypatch):
    masks = predict(numbered, tmp_path / "masks", "davis-unsup")
    together = score("davis-unsup", old, masks)
    monkeypatch.setattr("vdprobe.studies.evaluate_videos.CHUNK", 1)
    assert score("davis-unsup", old, masks) == together


@pytest.mark.skipif(
    not (SHARED / "fixtures/davis_metrics").is_dir() or not (SHARED / "davis").is_dir(),
    reason="no official values at ../shared/fixtures or no copy of DAVIS at ../shared/davis",
)
def test_the_official_values_of_real_sequences(vdprobe):
    """Their masks are 0 and 255."""
    predictions = SHARED / "fixtures/davis_metrics/predictions"
    command = ("evaluate", predictions, "--protocol", "davis-semi", "--dataset", SHARED / "davis", "--json")
    status, out, err = vdprobe(*command, "--only", "car-shadow,dog", "--workers", 1)
    assert status == 0, err
    report = json.loads(out)
    with open(SHARED / "fixtures/davis_metrics/golden_per_sequence.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["sequence"] in ("car-shadow", "dog")]
    assert (len(rows), report["counts"]["tracks"], report["extra"]) == (2, 2, [])
    for name, key in (("J", "J_M"), ("J recall", "J_R"), ("F decay", "F_D"), ("J&F", "JF_M")):
        assert report["scores"][name] == pytest.approx(np.mean([float(row[key]) for row in rows]), abs=1e-6)
    assert report["notes"] == [f"{NOTE}: 2 videos, the first is car-shadow"]
