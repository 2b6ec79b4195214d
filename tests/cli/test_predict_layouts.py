"""Right masks in the head's place, through every layout, to the commands that score and send them."""

import json
import shutil
import zipfile

import numpy as np
import pytest
import torch
from mask_files import listed, make_shapes, read_mask
from tiny_head import tiny_head

from vdprobe.data.frames import frame_size
from vdprobe.data.masks import read_object_mask
from vdprobe.data.rle import decode_rle, encode_rle
from vdprobe.extraction.report import Report
from vdprobe.head.word_cache import words_path
from vdprobe.training.cached_clips import Sizes
from vdprobe.training.video_masks import Choice, FrameQueries


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return make_shapes(tmp_path_factory.mktemp("shapes") / "data", videos=2)


def truth(video, text, frames):
    """What the text means in these frames, as logits."""
    expression = next(e for e in video.expressions if e.text == text)
    mask = read_object_mask(video, expression.object_ids, frames)
    return torch.from_numpy(np.where(mask, 4.0, -4.0).astype(np.float32))


@pytest.fixture
def predict(vdprobe, tmp_path, monkeypatch):
    """Runs the command with the truth in place of what a head says: nothing is extracted."""

    def video(head, cached, clips, text, words, keep):
        for clip in clips:
            keep(clip.frames, truth(clip.video, text, clip.frames))
        return Choice(1, (0.75,) * sum(len(clip.frames) for clip in clips))

    def frame(head, cached, clip, index, text, words):
        right = truth(clip.video, text, (index,))[0]
        rows, columns = torch.where(right > 0)
        x, y = columns.min(), rows.min()
        box = torch.stack([x, y, columns.max() - x + 1, rows.max() - y + 1]).float()
        boxes = torch.stack([box, torch.zeros(4)])
        return FrameQueries(torch.tensor([0.9, 0.2]), boxes, torch.stack([right, -right]))

    def sizes(self, clip, text=None):
        size = frame_size(clip.video, 0)
        return Sizes(source=size, frame=size, padded=size)

    monkeypatch.setattr("vdprobe.studies.predict.make.segment_video", video)
    monkeypatch.setattr("vdprobe.studies.predict.make.segment_frame", frame)
    monkeypatch.setattr("vdprobe.studies.predict.run.extract", lambda *_, **__: Report())
    monkeypatch.setattr("vdprobe.training.cached_clips.CachedClips.sizes", sizes)
    head = tiny_head(tmp_path / "head")

    def run(dataset, *options, split="val"):
        command = ("predict", head, "--videos", dataset, "--split", split, "--model", "random:tiny", "--json")
        places = ("--store", tmp_path / "store", "--out", tmp_path / "out", "--words", "pipeline", "--device", "cpu")
        kinds = ("--set", "features.conditions=[vd-t]", "--set", "features.noises=[gaussian]")
        status, out, err = vdprobe(*command, *places, *kinds, *options)
        return status, json.loads(out) if out else None, err

    return run


@pytest.fixture
def score(vdprobe, tmp_path):
    """J&F, or overall IoU, of what was predicted, and that nothing is missing or too much."""

    def evaluate(protocol, dataset, place="masks", split="val", name="J&F"):
        command = ("evaluate", tmp_path / "out" / place, "--protocol", protocol, "--dataset", dataset, "--json")
        status, out, err = vdprobe(*command, "--split", split, "--workers", 1)
        assert status == 0, err
        report = json.loads(out)
        assert (report["missing"], report["extra"], report["unscored"]) == ([], [], [])
        return report["scores"][name]

    return evaluate


@pytest.mark.parametrize("protocol", ["ytvos", "mevis", "refdavis-visa"])
def test_plain_masks_are_an_expression_each(predict, score, shapes, protocol):
    status, made, err = predict(shapes)
    assert status == 0, err
    expressions = sum(len(video["expressions"]) for video in listed(shapes).values())
    assert made["counts"]["expressions"] == expressions
    assert made["counts"]["masks"] == 4 * expressions
    assert score(protocol, shapes) == 1


def test_ref_ytvos_with_its_zip(predict, score, vdprobe, shapes, tmp_path):
    path = tmp_path / "x.zip"
    status, made, err = predict(shapes, "--benchmark", "ref-ytvos", "--zip", path)
    assert status == 0, err
    assert score("ytvos", shapes) == 1
    assert (made["zip"]["path"], made["zip"]["faults"]) == (str(path), [])
    assert f"{made['counts']['masks']} masks without fault" in err
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist()[0] == "Annotations/val-00000/0/00000.png"
    checked = vdprobe("submit", "--check", path, "--benchmark", "ref-ytvos", "--dataset", shapes, "--split", "val")
    assert checked[0] == 0


def test_mevis_as_it_is_published(predict, score, shapes, tmp_path):
    """An expression of several objects, and one of none; its layout says which benchmark it is."""
    folder, videos, masks = tmp_path / "mevis/valid_u", listed(shapes), {}
    for video, entry in videos.items():
        shutil.copytree(shapes / "val/JPEGImages" / video, folder / "JPEGImages" / video)
        labels = [read_mask(shapes / f"val/Annotations/{video}/{stem}.png") for stem in entry["frames"]]
        for number in range(1, 4):
            masks[f"{number}{video[-1]}"] = [encode_rle(frame == number) for frame in labels]
        ids = [[f"1{video[-1]}", f"2{video[-1]}"], [], [f"1{video[-1]}"]]
        entry["expressions"] = {str(k): {"exp": f"text {k}", "anno_id": anno} for k, anno in enumerate(ids)}
    (folder / "meta_expressions.json").write_text(json.dumps({"videos": videos}))
    (folder / "mask_dict.json").write_text(json.dumps(masks))
    zipped = tmp_path / "mevis.zip"
    status, made, err = predict(tmp_path / "mevis", "--zip", zipped, split="valid_u")
    assert status == 0, err
    assert made["benchmark"] == "mevis"
    assert made["counts"]["expressions_never_marked"] >= 2
    assert score("mevis", tmp_path / "mevis", split="valid_u", name="Final") == 1
    with zipfile.ZipFile(zipped) as archive:
        assert archive.namelist()[0] == "val-00000/0/00000.png"


def test_davis_objects_with_one_text_each(predict, score, shapes, tmp_path):
    zipped = tmp_path / "davis.zip"
    one = ("--benchmark", "davis", "--set", "features.videos.texts_per_object=1")
    status, made, err = predict(shapes, *one, "--zip", zipped)
    assert status == 0, err
    assert made["places"] == [str(tmp_path / "out" / name) for name in ("masks", "objects")]
    for protocol in ("davis-unsup", "davis-semi"):
        assert score(protocol, shapes, "objects") == 1
    with zipfile.ZipFile(zipped) as archive:
        assert archive.namelist()[0] == "val-00000/00000.png"


def test_ref_davis17_has_four_annotators(predict, score, published, tmp_path):
    """Its layout says which benchmark it is; both of its protocols read what is there."""
    dataset = published.write_davis17(tmp_path / "davis17")
    status, made, err = predict(dataset, split="valid")
    assert status == 0, err
    assert made["benchmark"] == "davis"
    assert score("refdavis-visa", dataset, split="valid") == 1
    assert score("refdavis-referformer", dataset, "objects", split="valid") == 1
    status, _, err = predict(dataset, "--zip", tmp_path / "x.zip", split="valid")
    assert (status, "a zip for DAVIS holds each object once" in err, "objects/anno_0" in err) == (2, True, True)


@pytest.mark.parametrize(("name", "split"), [("a2d", "train"), ("jhmdb", "test"), ("refcoco", "val")])
def test_all_queries_of_single_frames(predict, score, published, tmp_path, name, split):
    dataset = getattr(published, f"write_{name}")(tmp_path / "data")
    status, made, err = predict(dataset, "--layout", name, "--overlays", 2, split=split)
    assert status == 0, err
    assert (made["benchmark"], made["places"]) == (name, [str(tmp_path / "out" / "results.json")])
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert len(results) == 2 * made["counts"]["expressions"] > 2
    assert {round(result["score"], 3) for result in results} == {0.9, 0.2}
    assert score(name, dataset, "results.json", split, "overall IoU") == 1
    if name == "a2d":
        assert score(name, dataset, "results.json", split, "mAP") == 1
    assert ("bbox" in results[0]) == (name == "refcoco")
    if name == "refcoco":
        assert score(name, dataset, "results.json", split, "REC IoU") == 1
    assert (tmp_path / "out/overlays/sheet.png").exists()
    assert not (tmp_path / "out/masks").exists()
    assert predict(dataset, "--layout", name, split=split)[1]["already"] == made["counts"]["expressions"]


@pytest.mark.parametrize(("threshold", "marked"), [(0.99, 0.0), (0.01, 1.0)])
def test_a_threshold_for_masks_objects_and_single_frames(predict, shapes, published, tmp_path, threshold, marked):
    """The truth is planted with a probability of 0.982 where the object is and of 0.018 elsewhere."""
    davis, a2d = published.write_davis17(tmp_path / "davis17"), published.write_a2d(tmp_path / "a2d")
    assert predict(davis, "--threshold", threshold, split="valid")[0] == 0
    for place in ("masks", "objects"):
        found = [read_mask(path) > 0 for path in (tmp_path / "out" / place).rglob("*.png")]
        assert found
        assert np.mean(found) == marked
    made = json.loads((tmp_path / "out" / "predict.json").read_text())
    assert (made["config"]["threshold"], made["predicted"]["asked"]["threshold"]) == (threshold, threshold)
    assert predict(a2d, "--threshold", threshold, "--out", tmp_path / "frames", split="train")[0] == 0
    results = json.loads((tmp_path / "frames" / "results.json").read_text())
    found = [result["segmentation"] for result in results]
    assert {decode_rle(mask, tuple(mask["size"]), "results.json").mean() for mask in found} == {marked}


def test_a_folder_of_another_threshold_is_not_gone_on_with(predict, shapes):
    assert predict(shapes)[0] == 0
    status, _, err = predict(shapes, "--threshold", "0.7")
    assert (status, "holds a result with another 'threshold'" in err) == (2, True)


@pytest.mark.parametrize(("options", "text"), [((), "a ball rolling"), (("--text-case", "raw"), "a Ball rolling")])
def test_the_letters_of_texts_are_those_of_the_official_script(predict, shapes, published, tmp_path, options, text):
    """A2D is evaluated in lower case, unless it is asked otherwise; videos and DAVIS are not."""
    status, made, err = predict(published.write_a2d(tmp_path / "a2d"), *options, split="train")
    assert status == 0, err
    encoder = json.loads((tmp_path / "out" / "predict.json").read_text())["model"]["words"]
    kept = [words_path(tmp_path / "store" / "words", encoder, t).exists() for t in ("a ball rolling", "a Ball rolling")]
    assert kept == [text == "a ball rolling", text == "a Ball rolling"]
    assert {row["text"] for row in made["expressions"]} == {"a Ball rolling", "a cat jumping"}
    status, made, err = predict(shapes, "--benchmark", "ref-ytvos", "--out", tmp_path / "raw")
    asked = json.loads((tmp_path / "raw" / "predict.json").read_text())["predicted"]["asked"]
    assert (asked["text_case"], asked["features"]["resize"]["long_side"]) == ("raw", None)
    note = next(note for note in made["notes"] if note.startswith("as the official code does for 'ref-ytvos': "))
    assert "features.resize.long_side null, text_case raw, query video" in note
    assert f"note: {note}" in err


def test_single_frames_are_looked_at_in_clips_around_them(predict, published, tmp_path, monkeypatch):
    from vdprobe.studies.predict import make

    planted, seen = make.segment_frame, []

    def frame(head, cached, clip, index, text, words):
        seen.append((index, clip.frames))
        return planted(head, cached, clip, index, text, words)

    monkeypatch.setattr(make, "segment_frame", frame)
    dataset = published.write_jhmdb(tmp_path / "jhmdb")
    assert predict(dataset, split="test")[0] == 0
    assert seen == [(0, (0, 0, 0, 1, 2)), (1, (0, 0, 1, 2, 3)), (2, (0, 1, 2, 3, 3))]
    seen.clear()
    windows = ("--set", "features.clips.kind=windows", "--out", tmp_path / "windows")
    assert predict(dataset, *windows, split="test")[0] == 0
    assert seen == [(k, (0, 1, 2, 3)) for k in range(3)]


def test_expressions_about_no_single_frame(predict, shapes, tmp_path):
    """The rest goes on; here there is none."""
    status, made, err = predict(shapes, "--benchmark", "a2d")
    expressions = sum(len(video["expressions"]) for video in listed(shapes).values())
    assert (status, len(made["failures"])) == (1, expressions)
    assert "failed: val-00000/0: is about no single frame, and clips of kind 'centred' are made around one" in err
    windows = ("--set", "features.clips.kind=windows", "--out", tmp_path / "other")
    status, made, err = predict(shapes, "--benchmark", "a2d", *windows)
    assert (status, len(made["failures"])) == (1, expressions)
    assert "failed: val-00000/0: is about no single frame, and 'a2d' scores one of each video" in err


def test_objects_that_cannot_be_put_together_still_have_masks(predict, score, shapes):
    """MovingShapes has one object with more texts than another."""
    status, made, _ = predict(shapes, "--benchmark", "davis")
    assert status == 1
    assert all("its objects are not put together" in failure["error"] for failure in made["failures"])
    assert score("ytvos", shapes) == 1


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("--benchmark", "davis17"), 2, "option 'benchmark' (='davis17')"),
        (("--benchmark", "plain", "--zip", "x.zip"), 2, "benchmark 'plain' has no zip; valid: ref-ytvos, mevis, davis"),
        (("--benchmark", "mevis", "--zip", "x.tar"), 1, "x.tar is no .zip; give a new .zip"),
        (
            ("--set", "features.clips.kind=centred"),
            2,
            "clips of kind 'centred' give one frame a mask, and 'plain' asks",
        ),
        (("--threshold", "1"), 2, "threshold (=1.0) is of a probability: above 0 and below 1"),
        (("--text-case", "upper"), 2, "option 'text_case' (='upper'): input should be 'lower' or 'raw'"),
        (("--set", "features.clips.kind=even"), 2, "every frame gets one mask, which clips of kind 'even'"),
        (("--set", "features.clips.overlap=4"), 2, "with an overlap of 4 do not give: set features.clips.kind=windows"),
        (("--set", "features.resize.flip=true"), 2, "masks of mirrored videos fit no video"),
        (("--set", "querry=clip"), 2, "unknown option 'querry': did you mean 'query'?"),
        (("--set", "features.noises=[none, gaussian]"), 2, "a head reads one: name one condition and one noise"),
        (("--model", "tiny"), 1, "no model 'tiny'"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(predict, shapes, tmp_path, options, status, message):
    got, _, err = predict(shapes, *options)
    error = err.splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
    assert got == status
    assert not (tmp_path / "out").exists()


def test_words_of_another_width(predict, shapes, tmp_path):
    tiny_head(tmp_path / "head", text_width=12)
    status, _, err = predict(shapes)
    assert (status, "the head reads words of width 12, and 'pipeline' makes 64" in err) == (1, True)
    tiny_head(tmp_path / "head", level_widths=(1, 2, 3, 4))
    status, _, err = predict(shapes)
    assert (status, "the head reads levels of (1, 2, 3, 4) channels, and 'random:tiny' has" in err) == (1, True)
