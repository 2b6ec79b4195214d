"""`vdprobe analyze` and `vdprobe figures` as a user types them."""

import json
import shlex

import pandas as pd
import pytest
from PIL import Image

from vdprobe.cli.analyze import QUESTIONS
from vdprobe.data.masks import read_object_mask
from vdprobe.data.moving_shapes.write import write_moving_shapes
from vdprobe.data.sources import find_videos
from vdprobe.store.store import FeatureStore
from vdprobe.studies.analysis.by_name import ANALYSES


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shapes"
    write_moving_shapes(folder, {"test": 2}, frames=3, side=64)
    return folder


@pytest.fixture
def command(shapes, tmp_path):
    """Raw pixels: there is no model to load."""

    def make(name, *more):
        return [
            *("analyze", name, "--model", "pixels", "--videos", shapes, "--split", "test", "--tap", "pixels.8"),
            *("--set", "features.clips.frames=3", "--set", "features.resize.short_side=64"),
            *(
                "--store",
                tmp_path / "store",
                "--out",
                tmp_path / "out",
                "--workers",
                1,
                "--set",
                "shown.videos=0",
                *more,
            ),
        ]

    return make


def test_each_analysis_has_a_command_with_its_question(vdprobe):
    assert list(QUESTIONS) == list(ANALYSES)
    status, out, _ = vdprobe("analyze", "--help")
    assert status == 0
    assert all(name in out for name in ANALYSES)
    assert all(question.endswith(".") for question in QUESTIONS.values())


def test_from_a_model_to_tables_and_figures_and_again(vdprobe, shapes, tmp_path):
    """The model, both its conditions, and the controls that it has by default."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        f"""
features:
  model: {{pipeline: "random:tiny", device: cpu}}
  videos: {{path: "{shapes}", split: test, texts_per_object: 1}}
  resize: {{short_side: 64}}
  taps: [unet.in]
  conditions: [vd-i, vd-t]
seeds: [0, 1]
shown: {{videos: 1}}
"""
    )
    arguments = ("analyze", "propagation", spec, "--store", tmp_path / "store", "--out", tmp_path / "out")
    status, _, err = vdprobe(*arguments, "--tap", "unet.down.9")
    assert (status, "unknown tap 'unet.down_blocks.9': did you mean" in err) == (2, True)
    assert not (tmp_path / "out").exists()  # it belongs to nobody yet
    status, out, err = vdprobe(*arguments, "--workers", 1, "--json")
    assert status == 0, err
    report = json.loads(out)
    assert report["failures"] == []
    assert {row["backbone"] for row in report["result"]} == {"random:tiny", "VAE latents", "pixels"}
    assert all(row["count"] == 2 and row["low"] <= row["mean"] <= row["high"] for row in report["result"])
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    texts = summary[summary["condition"] == "vd-t"]
    assert set(texts["seeds"]) == {2}
    assert (texts[texts["masks"] == "propagated"]["seed_sd"] > 0).all()
    assert (texts[texts["masks"] == "kept"]["seed_sd"] == 0).all()
    (figure,) = report["figures"]
    (picture,) = report["pictures"]
    assert picture.endswith("propagation-test-00000.png")

    status, out, err = vdprobe(*arguments, "--workers", 1)
    assert status == 0, err
    assert out.splitlines()[0].split()[:4] == ["backbone", "control", "condition", "noise"]
    assert len(out.splitlines()) == 1 + len(report["result"])
    assert "0 items extracted" in err
    assert f"figure     {figure}" in err

    (tmp_path / "store").rename(tmp_path / "gone")
    status, out, err = vdprobe("figures", tmp_path / "out", "--out", tmp_path / "again")
    assert status == 0, err
    assert out.strip() == str(tmp_path / "again" / "propagation-taps.pdf")
    again = (tmp_path / "again" / "propagation-taps.png").read_bytes()
    assert again == (tmp_path / "out" / "figures" / "propagation-taps.png").read_bytes()


@pytest.mark.parametrize("name", ["consistency", "roi-similarity", "clusters"])
def test_analyses_run_without_a_file(vdprobe, command, name, tmp_path):
    status, out, err = vdprobe(*command(name))
    assert status == 0, err
    assert all(line.startswith("pixels ") for line in out.splitlines()[1:])
    figures = [line.split()[1] for line in err.splitlines() if line.startswith("figure ")]
    assert figures
    assert json.loads(vdprobe("figures", tmp_path / "out", "--json")[1]) == [f for f in figures if f.endswith(".pdf")]


def test_the_error_of_no_extract_names_a_command_that_makes_what_lacks(vdprobe, command, tmp_path):
    run = command("propagation", "--no-extract")
    status, _, err = vdprobe(*run)
    assert (status, "no feature store" in err) == (1, True)
    FeatureStore.create(tmp_path / "store")
    status, _, err = vdprobe(*run)
    assert status == 1
    assert "2 of 2 items of 'pixels' are not in" in err
    words = shlex.split(err.partition("make them with: ")[2])
    assert words[:2] == ["vdprobe", "extract"]
    assert vdprobe(*words[1:])[0] == 0
    assert vdprobe(*run)[0] == 0


@pytest.mark.parametrize(
    ("extra", "status", "message"),
    [
        (["--set", "shwon.tap=x"], 2, "unknown option 'shwon': did you mean 'shown'"),
        (["--set", "features.clips.frame=3"], 2, "unknown option 'features.clips.frame': did you mean 'frames'"),
        (["--set", "propagation.topk=0"], 2, "topk must be at least 1"),
        (["--tap", "pixels.9"], 2, "pixels.9"),
        (["--model", "random:tiny"], 2, "tap 'pixels.8' is neither an alias (unet.in"),
        (["--split", "tset"], 2, "did you mean 'test'"),
        (["--set", "controls.pixels.taps=[pixels.8]"], 2, "a control is called 'pixels', as the model is"),
        (["--set", "controls.other.modle.pipeline=pixels"], 2, "unknown option 'modle'"),
        (["--set", "shown.tap=pixels.88"], 1, "shown.tap (=pixels.88) is not in the tables: did you mean 'pixels.8'"),
        (["--set", "features.clips.frames=1"], 1, "a video needs an object in the first frame of a clip, and a second"),
        (["--set", "features.clips.kind=even", "--set", "features.clips.frames=9"], 1, "3 frames"),
    ],
)
def test_errors_are_one_line_and_teach(vdprobe, command, extra, status, message):
    got, _, err = vdprobe(*command("propagation", *extra))
    assert message in err
    assert got == status
    assert any(line.startswith("error: ") for line in err.splitlines())


def test_what_is_missing_altogether(vdprobe):
    status, _, err = vdprobe("analyze", "clusters", "--videos", "x")
    assert (status, "nothing says which model: give --model, or 'features.model.pipeline'" in err) == (2, True)
    status, _, err = vdprobe("figures", "nowhere")
    assert (status, "give a folder of `vdprobe analyze`" in err) == (1, True)


def test_failures_are_counted_and_make_exit_status_one(vdprobe, command, shapes, tmp_path):
    import shutil

    folder = tmp_path / "broken"
    shutil.copytree(shapes, folder)
    path = folder / "meta_expressions" / "test" / "meta_expressions.json"
    value = json.loads(path.read_text())
    expressions = next(iter(value["videos"].values()))["expressions"]
    for k in range(9):
        expressions[f"bad{k}"] = {"exp": "nothing", "obj_id": "77"}
    path.write_text(json.dumps(value))
    status, out, err = vdprobe(*command("propagation", "--videos", folder))
    assert status == 1
    assert out.splitlines()[1].startswith("pixels ")
    assert err.count("failed: test-00000/bad") == 5
    assert f"failed: 4 more, all of them in {tmp_path / 'out'}/failures.csv" in err
    assert len(pd.read_csv(tmp_path / "out" / "failures.csv")) == 9


def test_an_interruption_says_how_to_go_on(vdprobe, command, monkeypatch):
    from vdprobe.studies.analysis import run

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run_analysis", interrupted)
    status, _, err = vdprobe(*command("clusters"))
    assert status == 130
    assert "run the same command again to go on" in err


def test_progress_lines_name_the_backbone(vdprobe, command, monkeypatch):
    from vdprobe.cli import output

    monkeypatch.setattr(output, "LINE_EVERY", -1.0)
    _, _, err = vdprobe(*command("propagation"))
    assert any(line.startswith("1/2 videos") and line.endswith("pixels") for line in err.splitlines()), err


def test_masks_are_looked_at_without_a_model(vdprobe, shapes, tmp_path):
    for video in find_videos(shapes, split="test").videos:
        for e in video.expressions:
            folder = tmp_path / "masks" / video.id / e.id
            folder.mkdir(parents=True)
            for k, mask in enumerate(read_object_mask(video, e.object_ids, range(3))):
                Image.fromarray(mask).save(folder / f"{k:05d}.png")
    arguments = ("analyze", "stability", "--videos", shapes, "--split", "test", "--workers", 1, "--json")
    arguments += ("--set", f"predictions.mine={tmp_path / 'masks'}", "--set", "gaps=[1]", "--out", tmp_path / "out")
    status, out, err = vdprobe(*arguments)
    assert status == 0, err
    result = json.loads(out)["result"]
    assert {row["measure"]: row["mean"] for row in result if row["backbone"] == "mine"} == {
        "IoU": 100,
        "change over 1 frame": 0,
    }
    assert vdprobe("figures", tmp_path / "out")[0] == 0
    assert "give --videos, or 'videos.path'" in vdprobe("analyze", "stability")[2]


def test_one_video_gives_tables_and_says_why_there_is_no_figure(vdprobe, command):
    status, out, err = vdprobe(*command("clusters", "--only", "test-00000"))
    assert status == 0, err
    assert " - " in out
    assert "no figure: intervals need two videos with a value" in err
