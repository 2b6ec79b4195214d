"""Values in predictions and truth that no score can be made of: one line, whatever they are."""

import json
import pickle
import warnings
import zipfile

import pytest
from mask_files import copy_labels, make_shapes, predict_expressions

RLE = {"size": [12, 16], "counts": [192]}


@pytest.fixture
def refcoco(published, vdprobe, tmp_path):
    """Scores results on RefCOCO or a JSON of truth; gives (status, error line)."""
    published.write_refcoco(tmp_path / "data")

    def run(results, dataset=tmp_path / "data"):
        path = tmp_path / "results.json"
        path.write_text(results if isinstance(results, str) else json.dumps(results))
        command = ("evaluate", path, "--protocol", "refcoco", "--dataset", dataset, "--split", "val", "--workers", 1)
        status, _, err = vdprobe(*command, "--out", tmp_path / "out")
        lines = [line for line in err.splitlines() if line.startswith("error: ")]
        return status, lines[0] if lines else err

    return run


def result(**changed):
    return {"image_id": "0", "score": 0.5, "segmentation": RLE} | changed


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"segmentation": {"size": [12, 16], "counts": [2**62, 2**62, 2**62, 2**62 + 192]}},
            "do not fill 16x12 pixels",
        ),
        ({"segmentation": {"size": [12, 16], "counts": "oooooooooooooo1"}}, "a mask in run lengths is"),
        ({"segmentation": {"size": [2**31, 2**31], "counts": [2**62]}}, "its mask is 2147483648x2147483648 pixels"),
        ({"segmentation": {"size": [16, 12], "counts": [192]}}, "its mask is 12x16 pixels and its picture 16x12"),
        ({"segmentation": [[0, 0, 1e8, 0, 1e8, 1e8]]}, "a corner at x = 100000000.0"),
        ({"segmentation": [[0, 0, 16, 12] * 200_000]}, "the outline of its polygons is"),
        ({"segmentation": None}, "its segmentation is neither polygons"),
        ({"score": float("nan")}, "result 0 lacks an image_id, a score that is a finite number"),
        ({"score": 10**400}, "result 0 lacks an image_id, a score that is a finite number"),
        ({"score": "1"}, "result 0 lacks an image_id, a score that is a finite number"),
        ({"image_id": ["0"]}, "result 0 lacks an image_id"),
        ({"bbox": [1, 2, 3]}, "the bbox of result 0 is no [x, y, width, height]"),
        ({"bbox": [1, 2, 3, "4"]}, "the bbox of result 0 is no [x, y, width, height]"),
        ({"bbox": [1, 2, 3, float("inf")]}, "the bbox of result 0 is no [x, y, width, height]"),
        ({"bbox": {"x": 1}}, "the bbox of result 0 is no [x, y, width, height]"),
    ],
)
def test_results_that_cannot_be_scored(refcoco, changed, message):
    status, line = refcoco([result(**changed)])
    assert (status, message in line) == (1, True), line
    assert len(line) < 600


def test_more_masks_of_an_image_than_memory_holds(refcoco, monkeypatch):
    monkeypatch.setattr("vdprobe.studies.evaluate_images.MOST_PIXELS", 1000)
    status, line = refcoco([result()] * 6)
    assert status == 1
    assert "6 masks of 16x12 pixels are 1,152 pixels, 1,000 are the most of an image" in line


def test_ids_that_cannot_be_shown_do_not_stop_a_report(refcoco):
    status, err = refcoco([result(), result(image_id="half \ud800\n")])
    assert (status, "extra, not looked at: 1 (half \\ud800\\n)" in err) == (1, True)


GOOD = {
    "images": [{"id": "0", "height": 12, "width": 16}],
    "annotations": [{"image_id": "0", "segmentation": RLE, "bbox": [1, 2, 3, 4]}],
}


@pytest.mark.parametrize(
    ("part", "changed", "message"),
    [
        ("images", {"height": 12.5}, "image '0' lacks height, width"),
        ("images", {"height": "12"}, "image '0' lacks height, width"),
        ("images", {"height": 10**400}, "image '0' lacks height, width"),
        ("images", {"width": 0}, "image '0' lacks height, width"),
        ("images", {"id": ["0"]}, "image ['0'] has 0 annotations"),
        ("annotations", {"image_id": {}}, "image '0' has 0 annotations"),
        ("annotations", {"bbox": ["1", 2, 3, 4]}, "image '0' has a bbox that is no [x, y, width, height]"),
        ("annotations", {"bbox": 5}, "image '0' has a bbox that is no [x, y, width, height]"),
    ],
)
def test_truth_that_is_not_of_coco_s_format(refcoco, tmp_path, part, changed, message):
    truth = json.loads(json.dumps(GOOD))
    truth[part][0] |= changed
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    status, line = refcoco([result()], tmp_path / "truth.json")
    assert (status, message in line) == (1, True), line


def test_an_image_that_stands_twice(refcoco, tmp_path):
    (tmp_path / "truth.json").write_text(json.dumps(GOOD | {"images": GOOD["images"] * 2}))
    assert "image '0' stands twice" in refcoco([result()], tmp_path / "truth.json")[1]


def test_a_number_with_more_digits_than_are_read(refcoco):
    status, line = refcoco('[{"image_id": ' + "1" * 5000 + "}]")
    assert (status, "results.json holds a whole number of thousands of digits" in line) == (1, True)


@pytest.mark.parametrize("changed", [{"image_id": 10**5000}, {"ann_id": -1}, {"image_id": 10**12}])
def test_ids_of_refcoco_that_are_none(refcoco, tmp_path, changed):
    file = tmp_path / "data" / "refcoco" / "refs(unc).p"
    file.write_bytes(pickle.dumps([ref | changed for ref in pickle.loads(file.read_bytes())]))
    status, line = refcoco([result()])
    assert (status, "holds no list of references" in line) == (1, True), line


@pytest.mark.parametrize(
    "sentence", [{"sent_id": None, "sent": "a"}, {"sent_id": 10**5000, "sent": "a"}, {"sent": "a"}, 5]
)
def test_a_sentence_without_an_id_leaves_the_others(refcoco, tmp_path, sentence):
    file = tmp_path / "data" / "refcoco" / "refs(unc).p"
    refs = pickle.loads(file.read_bytes())
    refs[0]["sentences"].append(sentence)
    file.write_bytes(pickle.dumps(refs))
    status, err = refcoco([result()])
    assert (status, "not scored, no usable truth: 1 (COCO_train2014_000000000009/?" in err) == (1, True), err


def test_an_annotation_that_stands_twice(refcoco, tmp_path):
    file = tmp_path / "data" / "refcoco" / "instances.json"
    value = json.loads(file.read_text())
    value["annotations"].append(value["annotations"][0])
    file.write_text(json.dumps(value))
    assert "annotation '101' stands twice" in refcoco([result()])[1]
    for other in ("text", None, [], {"id": 1}, {"id": 1, "segmentation": [], "bbox": "1234"}):
        file.write_text(json.dumps({"annotations": [other]}))
        status, line = refcoco([result()])
        assert (status, "instances.json" in line) == (1, True)


def test_a_zip_in_which_a_mask_stands_twice_is_not_scored(vdprobe, tmp_path):
    shapes = make_shapes(tmp_path / "data", videos=1, frames=2)
    predict_expressions(shapes, tmp_path / "masks")
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in [
            *sorted((tmp_path / "masks").rglob("*.png")),
            tmp_path / "masks" / "val-00000" / "0" / "00000.png",
        ]:
            archive.write(path, path.relative_to(tmp_path / "masks"))
    command = ("--protocol", "ytvos", "--dataset", shapes, "--split", "val", "--workers", 1)
    status, _, err = vdprobe("evaluate", tmp_path / "masks.zip", *command)
    assert (status, "holds 'val-00000/0/00000.png' twice" in err) == (1, True)


@pytest.mark.parametrize(
    ("listed", "message"),
    [("val-00000\n../val-00000\n", "tries to leave its folder"), ("val-00000 val-00000\n", "lists 'val-00000' twice")],
)
def test_ids_in_the_lists_of_davis(vdprobe, tmp_path, listed, message):
    shapes = make_shapes(tmp_path / "data", videos=1, frames=3)
    davis = tmp_path / "davis"
    for kind in ("JPEGImages", "Annotations"):
        (davis / kind).mkdir(parents=True)
        (davis / kind / "480p").symlink_to(shapes / "val" / kind)
    (davis / "ImageSets" / "2017").mkdir(parents=True)
    (davis / "ImageSets" / "2017" / "val.txt").write_text(listed)
    copy_labels(shapes, tmp_path / "labels")
    command = ("--protocol", "davis-semi", "--dataset", davis, "--workers", 1)
    status, _, err = vdprobe("evaluate", tmp_path / "labels", *command)
    assert (status, message in err) == (1, True), err
    status, _, err = vdprobe(
        "submit", tmp_path / "labels", "--benchmark", "davis", "--dataset", davis, "--out", "x.zip"
    )
    assert (status, message in err) == (1, True), err


@pytest.mark.parametrize("split", ["a\0b", "x" * 300, "../data"])
def test_splits_that_are_no_names(vdprobe, published, tmp_path, split):
    root = published.write_mevis(tmp_path / "data")
    status, _, err = vdprobe("datasets", "check", root, "--split", split)
    assert (status, "error: split: " in err) == (2, True), err


def test_a_video_of_jhmdb_with_more_frames_than_any(published, vdprobe, tmp_path):
    root = published.write_jhmdb(tmp_path / "data")
    file = root / "jhmdb_sentences_samples_metadata.json"
    file.write_text(file.read_text().replace(", 4,", ", 1000000000000,"))
    status, out, _ = vdprobe("datasets", "check", root)
    assert (status, "has 1000000000000 frames, 1 to 10000 are read" in out) == (1, True), out
