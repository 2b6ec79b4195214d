import json
import shutil

import numpy as np
import pytest
from mask_files import copy_labels, listed, make_shapes, predict_expressions, read_mask, write_mask
from PIL import Image

from vdprobe.data.rle import encode_rle
from vdprobe.metrics.protocols.by_name import PROTOCOLS
from vdprobe.metrics.protocols.protocol import evaluate
from vdprobe.metrics.protocols.samples import MaskSample


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp("shapes") / "data")


@pytest.fixture
def predicted(shapes, tmp_path):
    predict_expressions(shapes, tmp_path / "masks" / "Annotations")
    return tmp_path / "masks"


@pytest.fixture
def run(vdprobe, shapes):
    """Scores against the made videos; gives (status, report, stderr)."""

    def evaluate(protocol, predictions, *options):
        command = ("evaluate", predictions, "--protocol", protocol, "--dataset", shapes, "--split", "val")
        status, out, err = vdprobe(*command, "--workers", 1, "--json", *options)
        return status, json.loads(out) if out else None, err

    return evaluate


@pytest.mark.parametrize("protocol", ["ytvos", "mevis", "refdavis-visa"])
def test_right_masks_score_one(run, predicted, shapes, protocol):
    status, report, err = run(protocol, predicted)
    assert status == 0, err
    assert (report["scores"]["J&F"], report["missing"], report["extra"], report["unscored"]) == (1, [], [], [])
    expressions = sum(len(video["expressions"]) for video in listed(shapes).values())
    assert list(report["counts"].values()) == [3, expressions, expressions, 4 * expressions]
    assert report["policy"] == PROTOCOLS[protocol].policy
    # the folder Annotations is not needed, and a zip is as good
    assert run(protocol, predicted / "Annotations")[1] == report
    shutil.make_archive(str(predicted), "zip", predicted)
    assert run(protocol, predicted.with_suffix(".zip"))[1] == report


def test_whatever_is_not_0_is_the_object(run, predicted):
    for path in predicted.rglob("*.png"):
        write_mask(path, read_mask(path) > 0)
    assert run("mevis", predicted)[1]["scores"]["J&F"] == 1


def test_the_score_is_that_of_the_protocol_on_the_same_masks(run, predicted, shapes):
    """One expression gets another's masks, one is shifted."""
    samples = []
    for number, (video, entry) in enumerate(listed(shapes).items()):
        for id, expression in entry["expressions"].items():
            labels = np.stack([read_mask(shapes / f"val/Annotations/{video}/{k:05d}.png") for k in range(4)])
            truth = labels == int(expression["obj_id"])
            prediction = np.roll(truth, number, axis=2) if id == "0" else truth
            for k, mask in enumerate(prediction):
                write_mask(predicted / "Annotations" / video / id / f"{k:05d}.png", 255 * mask)
            stems = tuple(entry["frames"])
            samples.append(MaskSample(video, id, expression["obj_id"], stems, truth, prediction))
    expected = evaluate(PROTOCOLS["ytvos"], samples)
    status, report, _ = run("ytvos", predicted, "--out", predicted / "scores")
    assert status == 0
    assert 0.5 < report["scores"]["J"] < 1
    assert report["scores"] == expected.scores
    assert (predicted / "scores" / "rows.csv").read_text() == expected.to_csv()
    written = json.loads((predicted / "scores" / "report.json").read_text())
    assert {key: written[key] for key in report} == report
    assert (written["split"], written["dataset"]) == ("val", str(shapes))


def test_workers_change_nothing(run, predicted, tmp_path, monkeypatch):
    monkeypatch.setattr("vdprobe.studies.evaluate_videos.CHUNK", 1)
    alone = run("ytvos", predicted, "--out", tmp_path / "one")
    together = run("ytvos", predicted, "--out", tmp_path / "two", "--workers", 2)
    assert together[:2] == alone[:2]
    assert (tmp_path / "one/rows.csv").read_text() == (tmp_path / "two/rows.csv").read_text()


def test_what_is_missing_or_extra_is_said(run, predicted, shapes):
    video, other, last = listed(shapes)
    masks = predicted / "Annotations"
    shutil.rmtree(masks / video / "0")
    (masks / other / "1" / "00002.png").unlink()
    shutil.copytree(masks / other / "0", masks / other / "99")
    shutil.copy(masks / last / "0" / "00000.png", masks / last / "0" / "00044.png")
    status, report, err = run("mevis", predicted)
    assert status == 1
    assert report["missing"] == [f"{video}/0", f"{other}/1/00002"]
    assert report["extra"] == [f"Annotations/{other}/99", f"Annotations/{last}/0/00044.png"]
    assert f"missing, scored 0: 2 ({video}/0, {other}/1/00002)" in err
    assert "extra, not looked at: 2 (" in err
    frames = report["counts"]["frames"]
    expressions = report["counts"]["expressions"]
    assert report["scores"]["J"] == pytest.approx((expressions - 1 - 1 / 4) / expressions)
    assert frames == 4 * expressions


def test_only_some_videos(run, predicted, shapes):
    video = next(iter(listed(shapes)))
    status, report, _ = run("ytvos", predicted, "--only", video)
    assert (status, report["counts"]["videos"]) == (0, 1)


def test_only_texts_of_one_difficulty(run, vdprobe, predicted, shapes):
    """The masks of the other texts are no fault, and no surplus either."""
    listing = listed(shapes)
    wanted = [e for video in listing.values() for e in video["expressions"].values() if e["difficulty"] == "attribute"]
    status, report, _ = run("ytvos", predicted, "--difficulty", "attribute")
    assert (status, report["counts"]["expressions"], report["extra"]) == (0, len(wanted), [])
    for protocol, difficulty, message in (
        ("ytvos", "atribute", "there is no expression of difficulty 'atribute': did you mean 'attribute'"),
        ("davis-semi", "attribute", "'davis-semi' scores no single expressions; leave difficulty out"),
    ):
        status, _, err = run(protocol, predicted, "--difficulty", difficulty)
        assert status == 2
        assert message in err


def test_the_table_and_the_policy_are_printed(vdprobe, predicted, shapes):
    command = ("evaluate", predicted, "--protocol", "ytvos", "--dataset", shapes, "--split", "val")
    status, out, err = vdprobe(*command)
    assert status == 0
    assert [line.split() for line in out.splitlines()] == [
        ["ytvos", "%"],
        ["J&F", "100.00"],
        ["J", "100.00"],
        ["F", "100.00"],
    ]
    assert "void: none" in err
    assert "3 videos" in err


@pytest.mark.parametrize("protocol", ["davis-semi", "davis-unsup"])
def test_davis_reads_palette_masks(run, shapes, tmp_path, protocol):
    """With object 1 and 2 exchanged only the unsupervised protocol is content."""
    copy_labels(shapes, tmp_path / "masks")
    status, report, err = run(protocol, tmp_path / "masks")
    assert status == 0, err
    assert report["scores"]["J&F"] == 1
    assert report["scores"]["J recall"] == 1
    video, other, last = listed(shapes)
    for path in (tmp_path / "masks").rglob("*.png"):
        write_mask(path, np.array([0, 2, 1, *range(3, 256)])[read_mask(path)], "P")
    score = run(protocol, tmp_path / "masks", "--only", f"{video},{other}")[1]["scores"]["J&F"]
    assert (score == 1) == (protocol == "davis-unsup")
    # the last has one object, now of the number 2
    status, _, err = run(protocol, tmp_path / "masks", "--only", last)
    assert ("numbers an object 2 and there are 1" in err) == (status == 1) == (protocol == "davis-semi")


def test_davis_as_it_is_published(vdprobe, shapes, tmp_path):
    """ImageSets says which sequences; either task has its masks."""
    davis, (video, other, _) = tmp_path / "davis", listed(shapes)
    for kind in ("Annotations", "Annotations_unsupervised"):
        shutil.copytree(shapes / "val" / "Annotations", davis / kind / "480p")
    shutil.copytree(shapes / "val" / "JPEGImages", davis / "JPEGImages" / "480p")
    (davis / "ImageSets/2017").mkdir(parents=True)
    (davis / "ImageSets/2017/val.txt").write_text(f"{video}\n{other}\n")
    for path in (davis / "Annotations_unsupervised/480p").rglob("*.png"):
        write_mask(path, np.where(read_mask(path) == 0, 0, 255 - 254 * (read_mask(path) == 1)), "P")
    command = ("evaluate", davis / "Annotations/480p", "--dataset", davis, "--json", "--protocol")
    for protocol, tracks in (("davis-semi", 5), ("davis-unsup", 2)):  # there all but object 1 is void
        status, out, err = vdprobe(*command, protocol)
        assert status == 0, err
        report = json.loads(out)
        assert (report["counts"]["videos"], report["counts"]["tracks"]) == (2, tracks)
        assert report["scores"]["J&F"] == 1
    status, _, err = vdprobe(*command, "davis-semi", "--split", "train")
    assert (status, "has no split 'train'; valid: val" in err) == (2, True)


def test_referformer_reads_four_annotators(run, shapes, tmp_path):
    for k in range(4):
        copy_labels(shapes, tmp_path / "masks" / f"anno_{k}")
    assert run("refdavis-referformer", tmp_path / "masks")[1]["scores"]["J&F"] == 1
    shutil.rmtree(tmp_path / "masks" / "anno_2")
    status, report, _ = run("refdavis-referformer", tmp_path / "masks")
    assert status == 1
    assert report["missing"] == [f"{video}/anno_2" for video in listed(shapes)]
    assert (report["scores"]["J&F"], report["scores"]["anno_2 J&F"]) == (0.75, 0)


def test_mevis_as_it_is_published(vdprobe, shapes, predicted, tmp_path):
    """Masks as run lengths over all videos; one expression without a target."""
    videos, masks = listed(shapes), {}
    for video, entry in videos.items():
        shutil.copytree(shapes / "val/JPEGImages" / video, tmp_path / "mevis/valid_u/JPEGImages" / video)
        labels = [read_mask(shapes / f"val/Annotations/{video}/{stem}.png") for stem in entry["frames"]]
        for expression in entry["expressions"].values():
            object = int(expression.pop("obj_id"))
            expression["obj_id"], expression["anno_id"] = [object - 1], [len(masks)]
            masks[str(len(masks))] = [
                encode_rle(frame == object) if (frame == object).any() else None for frame in labels
            ]
    first = next(iter(videos))
    videos[first]["expressions"]["none"] = {"exp": "a purple cow", "obj_id": [], "anno_id": []}
    (tmp_path / "mevis/valid_u/meta_expressions.json").write_text(json.dumps({"videos": videos}))
    (tmp_path / "mevis/valid_u/mask_dict.json").write_text(json.dumps(masks))
    command = ("evaluate", predicted / "Annotations", "--dataset", tmp_path / "mevis", "--split", "valid_u")
    for value, expected in ((0, 1), (255, 0)):
        for k in range(4):
            write_mask(predicted / "Annotations" / first / "none" / f"{k:05d}.png", np.full((48, 48), value))
        status, out, err = vdprobe(*command, "--protocol", "mevis", "--json")
        assert status == 0, err
        scores = json.loads(out)["scores"]
        assert (scores["N-acc"], scores["T-acc"]) == (expected, 1)
        assert scores["Final"] == pytest.approx((scores["J&F"] + expected + 1) / 3)


def results(tmp_path, **more):
    """Truth and results of two images, as their JSON files; the second image is half found."""
    masks = [np.zeros((6, 8), bool) for _ in range(2)]
    masks[0][:3], masks[1][:, :4] = True, True
    half = masks[1] & (np.arange(6) < 3)[:, None]
    truth = {
        "images": [{"id": f"v_a_f_{k}_i_1", "height": 6, "width": 8} for k in range(2)],
        "annotations": [
            {
                "id": k,
                "image_id": f"v_a_f_{k}_i_1",
                "segmentation": encode_rle(mask),
                "bbox": [0, 0, 8 - 4 * k, 3 + 3 * k],
            }
            for k, mask in enumerate(masks)
        ],
        "categories": [{"id": 1, "name": "dummy_class"}],
    }
    found = [
        {"image_id": "v_a_f_0_i_1", "category_id": 1, "score": 0.9, "segmentation": encode_rle(masks[0])},
        {"image_id": "v_a_f_0_i_1", "category_id": 1, "score": 0.1, "segmentation": encode_rle(~masks[0])},
        {"image_id": "v_a_f_1_i_1", "category_id": 1, "score": 0.8, "segmentation": encode_rle(half)},
    ]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "results.json").write_text(json.dumps([{**result, **more} for result in found]))
    return tmp_path / "truth.json", tmp_path / "results.json"


@pytest.mark.parametrize("protocol", ["a2d", "jhmdb", "refcoco"])
def test_coco_results(vdprobe, tmp_path, protocol):
    truth, found = results(tmp_path)
    command = ("evaluate", "--protocol", protocol, "--json", "--workers", 1, "--dataset")
    status, out, err = vdprobe(*command, truth, found)
    assert status == 0, err
    report = json.loads(out)
    assert report["scores"]["overall IoU"] == 36 / 48
    assert (report["scores"]["mean IoU"], report["scores"]["P@0.5"]) == (0.75, 0.5)
    assert report["counts"] == {"images": 2, "predictions": 3}
    # a zip of the results; the second image is missing, and there is one that nobody asked for
    values = json.loads(found.read_text())
    values[2]["image_id"] = "v_b"
    found.write_text(json.dumps(values))
    shutil.make_archive(str(tmp_path / "zipped"), "zip", tmp_path, "results.json")
    status, out, _ = vdprobe(*command, truth, tmp_path / "zipped.zip")
    report = json.loads(out)
    assert (status, report["missing"], report["extra"]) == (1, ["v_a_f_1_i_1"], ["v_b"])
    if protocol == "a2d":
        truth.rename(tmp_path / "a2d_sentences_test_annotations_in_coco_format.json")
        assert json.loads(vdprobe(*command, tmp_path, found)[1]) == report


def test_boxes_of_coco_results(vdprobe, tmp_path):
    """The first image's box is right, and given for the second it is not."""
    truth, found = results(tmp_path, bbox=[0, 0, 8, 3])
    out = vdprobe("evaluate", found, "--protocol", "refcoco", "--dataset", truth, "--json")[1]
    assert json.loads(out)["scores"]["REC IoU"] == 0.5


def test_predictions_that_cannot_be_used(run, predicted, shapes, tmp_path):
    def fails(message, protocol="ytvos", path=predicted, status=1):
        got, _, err = run(protocol, path)
        assert got == status
        (line,) = (line for line in err.splitlines() if line.startswith("error: "))
        assert message in line

    fails("there is no", path=tmp_path / "nowhere")
    fails("there is no protocol 'davis'; did you mean 'davis-semi'", "davis", status=2)
    fails("looked for <video>/<frame>.png, such as", "davis-semi")
    fails("looked for <video>/<expression>/<frame>.png, such as", path=shapes)
    (tmp_path / "text.zip").write_text("no zip")
    fails("is no folder and no zip", path=tmp_path / "text.zip")
    video = next(iter(listed(shapes)))
    mask = predicted / "Annotations" / video / "0" / "00001.png"
    write_mask(mask, np.zeros((48, 40)))
    fails("00001.png is 40x48 pixels and the truth 48x48")
    Image.new("RGB", (48, 48)).save(mask)
    fails("00001.png has pixels of kind 'RGB'")
    mask.write_bytes(b"nothing")
    fails("00001.png is not a PNG")
    copy_labels(shapes, tmp_path / "labels")
    write_mask(tmp_path / "labels" / video / "00001.png", np.full((48, 48), 255), "P")
    fails("numbers an object 255", "davis-semi", tmp_path / "labels")
    fails("numbers an object 255, and 20 is the most", "davis-unsup", tmp_path / "labels")


def test_an_object_that_no_mask_shows_is_noted(vdprobe, shapes, predicted, tmp_path):
    """It counts, as the benchmarks have it, but somebody should know."""
    shutil.copytree(shapes, tmp_path / "data")
    videos = listed(shapes)
    video = next(iter(videos))
    videos[video]["expressions"]["0"]["obj_id"] = "9"
    (tmp_path / "data/meta_expressions/val/meta_expressions.json").write_text(json.dumps({"videos": videos}))
    command = ("evaluate", predicted, "--dataset", tmp_path / "data", "--split", "val", "--protocol", "ytvos")
    status, out, err = vdprobe(*command, "--json")
    report = json.loads(out)
    count = report["counts"]["expressions"]
    assert (status, report["scores"]["J"]) == (0, pytest.approx((count - 1) / count))
    assert f"note: 1 of {count} objects are in no mask of their video, and scored so; the first is {video}/0" in err


def test_a_dataset_without_truth(vdprobe, shapes, predicted, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(shapes, data)
    command = ("evaluate", predicted, "--dataset", data, "--split", "val", "--protocol", "ytvos", "--json")
    file = data / "meta_expressions/val/meta_expressions.json"
    videos = listed(data)
    video, other, last = videos
    # masks of one video are gone, one expression hides its object, one video has no frames
    shutil.rmtree(data / "val/Annotations" / video)
    del videos[other]["expressions"]["0"]["obj_id"]
    shutil.rmtree(data / "val/JPEGImages" / last)
    file.write_text(json.dumps({"videos": videos}))
    status, out, err = vdprobe(*command)
    assert status == 1
    unscored = json.loads(out)["unscored"]
    assert sorted(line.split(":")[0] for line in unscored) == sorted([last, video, f"{other}/0"])
    assert "not scored, no usable truth: 3 (" in err
    for path in (data / "val/Annotations" / other).glob("*.png"):
        write_mask(path, np.full((48, 48), 254), "L")
    status, _, err = vdprobe(*command)
    assert (status, "do the masks hold the object's number as pixel value?" in err) == (1, True)
    shutil.rmtree(data / "val/Annotations" / other)
    status, _, err = vdprobe(*command)
    assert (status, "has nothing to score by 'ytvos'" in err) == (1, True)
