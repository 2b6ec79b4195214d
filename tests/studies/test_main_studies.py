"""The main results, from a checkpoint as its authors publish it to the table, on small datasets in their layouts."""

import argparse
import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import torch

from vdprobe.data.moving_shapes.write import write_moving_shapes
from vdprobe.head.config import HeadConfig
from vdprobe.head.head import Head
from vdprobe.head.official import to_official
from vdprobe.head.official_checkpoint import import_official
from vdprobe.models.diffusion.adapter import OFFICIAL_NAMES, OFFICIAL_PREFIX, make_adapter
from vdprobe.models.diffusion.pipeline import find_pipeline
from vdprobe.store.store import FeatureStore
from vdprobe.training.small_head import level_widths

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SMALL = {"neck_hidden": (8,) * 4, "neck_widths": (8,) * 4, "width": 32, "heads": 4, "feedforward": 16}
SMALL |= {"encoder_layers": 1, "decoder_layers": 1}
VIDEO_SCORES = ["J&F", "J", "F"]
IMAGE_SCORES = ["overall IoU", "mean IoU", "P@0.5", "P@0.6", "P@0.7", "P@0.8", "P@0.9"]


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """Of an untrained model under official names, imported."""
    pipeline, folder = find_pipeline("random:tiny"), tmp_path_factory.mktemp("vdit")
    torch.manual_seed(0)
    sizes = {"level_widths": level_widths(pipeline), "text_width": pipeline.config("text_encoder")["hidden_size"]}
    tensors = to_official(Head(HeadConfig(**SMALL, **sizes)))
    adapter = make_adapter(
        width=pipeline.config("unet")["cross_attention_dim"],
        image_width=pipeline.config("image_encoder")["hidden_size"],
        latent_channels=pipeline.config("unet")["in_channels"],
        seed=0,
    )
    adapter.text_projection = None
    for name, tensor in adapter.state_dict().items():
        theirs = next(
            theirs + name.removeprefix(ours) for theirs, ours in OFFICIAL_NAMES.items() if name.startswith(ours)
        )
        tensors[OFFICIAL_PREFIX + theirs] = tensor
    torch.save({"model": tensors, "args": argparse.Namespace()}, folder / "checkpoint.pth")
    import_official(folder / "checkpoint.pth", folder / "head")
    return folder / "head"


@pytest.fixture
def run(vdprobe, head, tmp_path):
    """Runs a study on a dataset with a small model; gives exit status, its folder and what was said."""

    def study(name, dataset, *assignments):
        given = [f"values.store={tmp_path / 'store'}", "values.resize={short_side: 32, long_side: null}"]
        if name != "main_trained":
            given += [f"values.head={head}", "steps.masks.config.config.words=pipeline"]
        options = [part for assignment in (*given, *assignments) for part in ("--set", assignment)]
        command = ("run", EXPERIMENTS / f"{name}.yaml", "--model", "random:tiny", "--dataset", dataset)
        status, _, said = vdprobe(*command, "--out", tmp_path / name, "--workers", 1, *options)
        return status, tmp_path / name, said

    return study


def read_table(out):
    """Names of the scores of each evaluation, and whose numbers stand beside which of them."""
    table = pd.read_csv(out / "table" / "table.csv")
    ours = table[table["source"] == "ours"]
    scores = {name: list(rows["score"]) for name, rows in ours.groupby("evaluation", sort=False)}
    beside = table[table["source"] != "ours"]
    return scores, {(row.source, row.evaluation, row.score): row.value for row in beside.itertuples()}


def report(folder):
    return json.loads((folder / "report.json").read_text())


def assert_whole(folder):
    found = report(folder)
    assert (found["missing"], found["unscored"], found["extra"]) == ([], [], [])
    return found["counts"]


def test_ref_davis17_by_both_protocols(run, published, tmp_path):
    status, out, said = run("main_ref-davis17", published.write_davis17(tmp_path / "davis17"))
    assert status == 0, said
    scores, beside = read_table(out)
    assert scores["refdavis-visa"] == VIDEO_SCORES
    assert scores["refdavis-referformer"][:3] == VIDEO_SCORES
    assert scores["refdavis-referformer"][-4:] == [f"anno_{k} J&F" for k in range(4)]
    assert beside["VD-IT, pre-trained on RefCOCO/+/g", "refdavis-referformer", "J&F"] == 69.4
    assert {name for _, name, _ in beside} == {"refdavis-referformer"}
    assert assert_whole(out / "scores" / "refdavis-visa")["expressions"] == 8
    assert assert_whole(out / "scores" / "refdavis-referformer")["tracks"] == 8
    asked = json.loads((out / "masks" / "predict.json").read_text())["predicted"]["asked"]
    assert (asked["query"], asked["features"]["conditions"], asked["features"]["noises"]) == (
        "clip", ["vd-it"], ["predicted"],
    )  # fmt: skip


def test_ref_youtube_vos_with_masks_and_its_zip(run, tmp_path):
    write_moving_shapes(tmp_path / "shapes", {"val": 2}, frames=3, side=48)
    status, out, said = run("main_ref-youtube-vos", tmp_path / "shapes", "values.dataset.split=val")
    assert status == 0, said
    scores, beside = read_table(out)
    assert scores == {"ytvos": VIDEO_SCORES}
    assert beside["VD-IT", "ytvos", "J"] == 63.1
    counts = assert_whole(out / "scores")
    with zipfile.ZipFile(out / "zip" / "submission.zip") as archive:
        assert len(archive.namelist()) == counts["frames"]
        assert all(name.startswith("Annotations/val-0000") for name in archive.namelist())
    assert " to " in (out / "table" / "table.md").read_text().splitlines()[2]  # of two videos there is an interval


def test_ref_youtube_vos_as_published_stops_after_the_zip(run, published, tmp_path):
    dataset = published.write_ytvos(tmp_path / "ytvos")
    for announced in (["[1/4] masks", "[2/4] zip", "[3/4] scores"], ["[3/4] scores"]):
        status, out, said = run("main_ref-youtube-vos", dataset)
        assert status == 1
        assert "has nothing to score by 'ytvos'" in said.splitlines()[-1]
        assert [line for line in said.splitlines() if line.startswith("[")] == announced
        with zipfile.ZipFile(out / "zip" / "submission.zip") as archive:
            assert archive.namelist()[0] == "Annotations/0062f687f1/0/00000.png"


def test_mevis_is_scored_on_one_split_and_zipped_on_the_other(run, published, tmp_path):
    status, out, said = run("main_mevis", published.write_mevis(tmp_path / "mevis"))
    assert status == 0, said
    scores, beside = read_table(out)
    assert scores == {"mevis": [*VIDEO_SCORES, "N-acc", "T-acc", "Final"]}
    assert not beside
    assert assert_whole(out / "scores")["expressions"] == 3
    with zipfile.ZipFile(out / "zip" / "submission.zip") as archive:
        assert archive.namelist()[0] == "0f3f/0/00000.png"


def test_a2d_and_jhmdb(run, published, tmp_path):
    a2d, jhmdb = published.write_a2d(tmp_path / "a2d"), published.write_jhmdb(tmp_path / "jhmdb")
    status, out, said = run("main_a2d-jhmdb", a2d, f"values.jhmdb={jhmdb}")
    assert status == 0, said
    scores, beside = read_table(out)
    assert scores == {name: ["mAP", *IMAGE_SCORES] for name in ("a2d", "jhmdb")}
    assert beside["VD-IT, trained on A2D-Sentences", "jhmdb", "mAP"] == 46.5
    for name, centres in (("a2d", [0]), ("jhmdb", [0, 1, 2])):
        asked = json.loads((out / "masks" / name / "predict.json").read_text())["predicted"]["asked"]
        assert (asked["features"]["clips"]["kind"], asked["text_case"]) == ("centred", "lower")
        items = [item for item in FeatureStore.open(tmp_path / "store").items() if item.attrs["label"] == "vae"]
        frames = {item.item.frames for item in items if (item.item.video == "vB") == (name == "a2d")}
        assert {clip[2] for clip in frames} == set(centres)
    assert assert_whole(out / "scores" / "a2d") == {"images": 1, "predictions": 5}
    assert assert_whole(out / "scores" / "jhmdb") == {"images": 3, "predictions": 15}


def test_refcoco_plus_and_g(run, published, tmp_path):
    for name, by in (("refcoco", "unc"), ("refcoco+", "unc"), ("refcocog", "umd")):
        published.write_refcoco(tmp_path / "coco", name, by)
    status, out, said = run("main_refcoco", tmp_path / "coco")
    assert status == 0, said
    scores, beside = read_table(out)
    given = [*IMAGE_SCORES, "REC IoU", "REC GIoU"]
    assert scores == {"RefCOCO": given, "RefCOCO+": given, "RefCOCOg": given}
    assert [value for (_, _, score), value in beside.items() if score == "overall IoU"] == [76.7, 66.5, 70.3]
    for name in ("RefCOCO", "RefCOCOplus", "RefCOCOg"):
        assert assert_whole(out / "scores" / name) == {"images": 4, "predictions": 20}


@pytest.mark.slow
def test_a_head_is_trained_scored_beside_its_control_and_taken_to_a_benchmark(run, published, tmp_path):
    write_moving_shapes(tmp_path / "shapes", {"train": 2, "test": 2}, frames=5, side=48)
    small = ("values.steps=2", "values.batch_size=1", "values.clips_per_video=1", "steps.heads.config.workers=0")
    status, out, said = run("main_trained", tmp_path / "shapes", f"values.sizes={json.dumps(SMALL)}", *small)
    assert status == 0, said
    scores, beside = read_table(out)
    assert scores == {"VD-T": VIDEO_SCORES, "raw pixels": VIDEO_SCORES}
    assert not beside
    for arm in ("VD-T", "raw-pixels"):
        counts = assert_whole(out / "scores" / arm)
        with zipfile.ZipFile(out / "zips" / arm / "submission.zip") as archive:
            assert len(archive.namelist()) == counts["frames"]
    compared = pd.read_csv(out / "differences" / "differences.csv")
    assert set(compared["first"]) | set(compared["second"]) == {"VD-T", "raw pixels"}
    davis = published.write_davis17(tmp_path / "davis17")
    status, other, said = run("main_ref-davis17", davis, f"values.head={out / 'heads' / 'VD-T'}")
    assert status == 0, said
    asked = json.loads((other / "masks" / "predict.json").read_text())["predicted"]["asked"]["features"]
    assert (asked["conditions"], asked["noises"], asked["clips"]["frames"]) == (["vd-t"], ["gaussian"], 36)


def test_a_dataset_that_is_not_there_is_not_made_for_a_real_model(run, tmp_path):
    status, _, said = run("main_trained", tmp_path / "none", "values.make=null")
    assert status == 1
    assert said.splitlines()[-1] == f"error: there is no dataset in {tmp_path / 'none'}; give its folder as --dataset"
    assert not (tmp_path / "none").exists()


def test_a_folder_without_a_head(run, published, tmp_path):
    dataset = published.write_davis17(tmp_path / "davis17")
    status, _, said = run("main_ref-davis17", dataset, f"values.head={tmp_path / 'none'}")
    assert (status, "vdprobe import-official" in said.splitlines()[-1]) == (1, True)
