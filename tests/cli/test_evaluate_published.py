"""Results about single images, against datasets as they are published and against a JSON in COCO's format."""

import csv
import json
import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from vdprobe.data.image_truth import JSON, find_image_truths
from vdprobe.data.rle import encode_rle

POLYGONS = [[2, 1, 9, 1, 9, 7, 2, 7], [11, 8, 15, 8, 15, 11, 11, 11]]


@dataclass
class Made:
    """A dataset as it is published, and what was drawn into it: image id to mask, and to box where there are any."""

    folder: Path
    split: str
    masks: dict
    boxes: dict


@pytest.fixture
def make(published, tmp_path):
    def write(name):
        box = published.box
        if name == "a2d":
            masks = {"v_vA_f_2_i_0": box(3, 4, 48, 64), "v_vA_f_2_i_2": box(5, 6, 48, 64)}
            masks["v_vA_f_5_i_2"] = masks["v_vA_f_2_i_2"]
            return Made(published.write_a2d(tmp_path / name), "train", masks, {})
        if name == "jhmdb":
            masks = {f"v_Goal_catch_0_f_{k + 1}": box(k, k + 3) for k in range(3)}
            return Made(published.write_jhmdb(tmp_path / name), "test", masks, {})
        two = np.zeros((12, 16), bool)
        two[1:7, 2:9] = two[8:11, 11:15] = True
        masks = {"0": two, "1": two, "2": box(2, 3), "3": box(2, 3)}
        boxes = {id: [2, 1, 13, 10] if id in "01" else [3, 2, 5, 4] for id in masks}
        return Made(published.write_refcoco(tmp_path / "coco", name), "val", masks, boxes)

    return write


def write_truth(made, path):
    """The truth as a JSON in COCO's format, one segmentation as polygons."""
    images, annotations = [], []
    for id, mask in made.masks.items():
        images.append({"id": id, "height": mask.shape[0], "width": mask.shape[1]})
        segmentation = POLYGONS if id == "0" else encode_rle(mask)
        box = {"bbox": made.boxes[id]} if made.boxes else {}
        annotations.append({"id": len(annotations) + 1, "image_id": id, "segmentation": segmentation} | box)
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


def write_results(made, path):
    """A shifted mask and the right one, of which now this and now that is surer; nothing of the last image."""
    results = []
    for k, (id, mask) in enumerate(made.masks.items()):
        x, y, width, height = made.boxes.get(id, [0, 0, 1, 1])
        for score, shift in ((0.9 - k / 10, 1 + k % 2), (0.85, 0)):
            box = {"bbox": [x + 2 * shift, y, width, height]} if made.boxes else {}
            found = {"image_id": id, "score": score, "segmentation": encode_rle(np.roll(mask, shift, axis=1))}
            results.append(found | {"category_id": 1} | box)
    path.write_text(json.dumps([*results[:-2], {**results[0], "image_id": "v_b"}]))
    return path


@pytest.fixture
def score(vdprobe, tmp_path):
    """Gives (status, report, rows, stderr)."""

    def run(protocol, dataset, predictions, *options):
        command = ("evaluate", predictions, "--protocol", protocol, "--dataset", dataset, "--json", "--workers", 1)
        status, out, err = vdprobe(*command, "--out", tmp_path / "out", *options)
        if not out:
            return status, None, None, err
        with open(tmp_path / "out" / "rows.csv", newline="") as file:
            return status, json.loads(out), sorted(csv.reader(file)), err

    return run


@pytest.mark.parametrize("name", ["a2d", "jhmdb", "refcoco", "refcoco+"])
def test_a_published_dataset_and_its_json_score_the_same(make, score, tmp_path, name):
    made, protocol = make(name), name.rstrip("+")
    found = write_results(made, tmp_path / "results.json")
    from_json = score(protocol, write_truth(made, tmp_path / "truth.json"), found)
    from_dataset = score(protocol, made.folder, found, "--split", made.split)
    assert from_dataset == from_json
    status, report, rows, _ = from_dataset
    last = list(made.masks)[-1]
    assert (status, report["missing"], report["extra"], report["unscored"]) == (1, [last], ["v_b"], [])
    assert 0.2 < report["scores"]["mean IoU"] < 1
    assert ("REC IoU" in report["scores"]) == bool(made.boxes)
    assert len(rows) == len(made.masks) + 1


def test_workers_change_nothing_and_need_no_annotations_of_others(make, score, tmp_path, monkeypatch):
    monkeypatch.setattr("vdprobe.studies.evaluate_images.CHUNK", 1)
    made = make("refcoco")
    found = write_results(made, tmp_path / "results.json")
    alone = score("refcoco", made.folder, found, "--split", "val")
    assert score("refcoco", made.folder, found, "--split", "val", "--workers", 2) == alone
    truths = pickle.loads(pickle.dumps(find_image_truths(made.folder, "val", "refcoco").truths))
    (made.folder / "refcoco" / "instances.json").unlink()
    assert all(np.array_equal(truth.mask(), made.masks[truth.image]) for truth in truths)


def test_one_of_several_datasets_is_its_own_folder(make, published, score, tmp_path, monkeypatch):
    made = make("refcoco")
    published.write_refcoco(made.folder, "refcocog", "umd")
    found = write_results(made, tmp_path / "results.json")
    status, _, _, err = score("refcoco", made.folder, found, "--split", "val")
    assert (status, f"holds several datasets; give {made.folder / 'refcoco'} or {made.folder / 'refcocog'}" in err) == (
        1,
        True,
    )
    status, report, _, _ = score("refcoco", made.folder / "refcocog", found, "--split", "val")
    assert (status, report["counts"]["images"]) == (1, 4)
    monkeypatch.chdir(made.folder / "refcocog")
    assert score("refcoco", ".", found, "--split", "val")[1]["scores"] == report["scores"]


def test_what_has_no_usable_truth_is_told_and_the_rest_scored(make, score, tmp_path):
    made = make("a2d")
    found = write_results(made, tmp_path / "results.json")
    masks = made.folder / "text_annotations" / "a2d_annotation_with_instances" / "vA"
    (masks / "00002.h5").write_bytes(b"no hdf5")
    status, report, _, _ = score("a2d", made.folder, found, "--split", "train")
    assert (status, report["counts"]["images"]) == (1, 1)
    assert [line.partition(":")[0] for line in report["unscored"]] == ["v_vA_f_2_i_0", "v_vA_f_2_i_2"]
    assert all("has no 'instance' and 'reMask' to read" in line for line in report["unscored"])
    (masks / "00005.h5").unlink()
    status, _, _, err = score("a2d", made.folder, found, "--split", "train")
    assert (status, "has nothing to score by 'a2d': 3 things have no truth, such as v_vA_f_2_i_0: " in err) == (1, True)
    shutil.rmtree(masks)
    status, _, _, err = score("a2d", made.folder, found, "--split", "train")
    assert (status, "1 things have no truth, such as vA: its masks are not there; unpack" in err) == (1, True)


def test_an_annotation_that_is_gone(make, score, tmp_path):
    made = make("refcoco")
    file = made.folder / "refcoco" / "instances.json"
    value = json.loads(file.read_text())
    file.write_text(json.dumps({"annotations": [a for a in value["annotations"] if a["id"] != 101]}))
    found = write_results(made, tmp_path / "results.json")
    status, report, _, _ = score("refcoco", made.folder, found, "--split", "val")
    assert (status, report["counts"]["images"], report["extra"]) == (1, 2, ["0", "1", "v_b"])
    first, _ = report["unscored"]
    assert first.startswith("COCO_train2014_000000000009/0: ")
    assert "has no annotation 101; fetch the file again" in first


def test_masks_of_another_frame_size_are_no_truth(make, score, tmp_path):
    made = make("jhmdb")
    mat = made.folder / "puppet_mask/catch/Goal_catch_0/puppet_mask.mat"
    savemat(mat, {"part_mask": np.stack([mask.T for mask in made.masks.values()], axis=-1).astype(np.uint8)})
    status, _, _, err = score("jhmdb", made.folder, write_results(made, tmp_path / "results.json"), "--split", "test")
    assert (status, "is 12x16 pixels and its frame is 16x12; masks and frames must have one size" in err) == (1, True)


def test_a_mask_of_another_size_in_a_json_is_no_truth(make, score, tmp_path):
    made = make("jhmdb")
    file, found = write_truth(made, tmp_path / "truth.json"), write_results(made, tmp_path / "results.json")
    value = json.loads(file.read_text())
    value["images"][0]["height"] += 1
    file.write_text(json.dumps(value))
    status, report, _, _ = score("jhmdb", file, found)
    assert (status, report["counts"]["images"]) == (1, 2)
    assert "image 'v_Goal_catch_0_f_1': its mask is 16x12 pixels and its picture 16x13" in report["unscored"][0]


def test_what_cannot_be_found(make, score, tmp_path):
    made = make("a2d")
    found = write_results(made, tmp_path / "results.json")

    def fails(message, protocol, dataset, *options, status=1):
        got, _, _, err = score(protocol, dataset, found, *options)
        (line,) = (line for line in err.splitlines() if line.startswith("error: "))
        assert (got, message in line) == (status, True), line

    fails("annotations.json; valid: train, test", "a2d", made.folder, status=2)
    fails("give the folder of the dataset, or its JSON instances_<dataset>", "refcoco", tmp_path / "gone")
    fails("holds no dataset of 'jhmdb' (looked for jhmdb_sentences_samples_metadata.json)", "jhmdb", made.folder)
    fails("and --only names videos; leave it out", "a2d", made.folder, "--only", "vA", status=2)
    # ids of ReferFormer's JSON are numbers, those of the dataset texts
    made = make("refcoco")
    found.write_text(json.dumps([{"image_id": 1, "score": 1, "segmentation": encode_rle(made.masks["0"])}]))
    fails("its image ids are 1, and those of", "refcoco", made.folder, "--split", "val")


def test_a_json_is_taken_from_a_folder_that_holds_nothing_else(make, score, tmp_path):
    made = make("a2d")
    found = write_results(made, tmp_path / "results.json")
    write_truth(made, made.folder / JSON["a2d"])
    expected = score("a2d", made.folder / JSON["a2d"], found)
    assert score("a2d", made.folder, found, "--split", "train") == expected
    for path in made.folder.glob("a2d_sentences_single_frame_*.json"):
        path.unlink()
    assert score("a2d", made.folder, found) == expected
