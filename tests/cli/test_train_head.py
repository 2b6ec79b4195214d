import json

import pytest
import yaml

from vdprobe.data.moving_shapes.write import write_moving_shapes

SMALL = {
    "neck_hidden": [8, 8, 8, 8],
    "neck_widths": [8, 8, 8, 8],
    "width": 32,
    "heads": 4,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "feedforward": 16,
}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shapes"
    write_moving_shapes(folder, {"train": 2, "val": 1}, frames=3, side=32)
    return folder


@pytest.fixture
def spec(shapes, tmp_path):
    """The file of a small training."""
    path = tmp_path / "train.yaml"
    values = {
        "features": {
            "model": {"pipeline": "random:tiny", "device": "cpu"},
            "videos": {"path": str(shapes), "split": "train", "texts_per_object": 1},
            "resize": {"short_side": 32, "long_side": None},
            "store": {"path": str(tmp_path / "store")},
        },
        "val_split": "val",
        "head": SMALL,
        "steps": 2,
        "frames": 2,
        "workers": 0,
    }
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.slow
def test_extract_train_and_resume_as_a_user_does(vdprobe, spec, tmp_path):
    out_folder = tmp_path / "out"
    status, _, err = vdprobe("train-head", spec, "--out", out_folder)
    assert status == 1
    assert "there is no feature store at" in err
    assert "add --extract, or run `vdprobe extract`" in err

    status, out, err = vdprobe("train-head", spec, "--extract", "--out", out_folder)
    assert status == 0, err
    assert out.strip() == str(out_folder / "best")
    assert "a step, " in err
    assert "% of it waiting for data" in err
    assert "2 steps, last loss" in err
    assert "on the validation split, which chose it" in err
    kept = (out_folder / "last" / "head.safetensors").read_bytes()

    status, out, _ = vdprobe("train-head", spec, "--out", out_folder, "--json")
    report = json.loads(out)
    assert (status, report["steps"], report["best"]) == (0, 2, str(out_folder / "best"))
    assert report["scores"].keys() == {"J&F", "J", "F"}
    assert (report["failures"], report["waiting"]) == ([], None)
    assert (out_folder / "last" / "head.safetensors").read_bytes() == kept
    assert json.loads((out_folder / "last" / "head.json").read_text())["text_width"] == 64

    status, _, err = vdprobe("train-head", spec, "--out", out_folder, "--set", "seed=3")
    assert status == 2
    assert "another 'seed' (42, asked for is 3): give another --out" in err


def test_a_control_without_validation(vdprobe, spec, tmp_path):
    levels = "levels=[[pixels.4], [pixels.8], [pixels.16], [pixels.32]]"
    changes = ["features.model.pipeline=pixels", levels, "val_split=null", "views=[{flip: true}]"]
    sets = [part for change in changes for part in ("--set", change)]
    status, _, err = vdprobe("train-head", spec, "--extract", *sets, "--out", tmp_path / "out")
    assert status == 1
    assert "a control, which has no text encoder: set words to that of a T2V model" in err
    sets += ["--set", "words=pipeline:random:tiny"]
    status, out, err = vdprobe("train-head", spec, "--extract", *sets, "--out", tmp_path / "out")
    assert status == 0, err
    assert out.strip() == str(tmp_path / "out" / "last")
    assert "J&F" not in err


def test_it_begins_with_another_head(vdprobe, spec, tmp_path):
    levels = "levels=[[pixels.4], [pixels.8], [pixels.16], [pixels.32]]"
    changes = ["features.model.pipeline=pixels", levels, "val_split=null", "words=pipeline:random:tiny", "steps=1"]
    sets = [part for change in changes for part in ("--set", change)]
    status, first, err = vdprobe("train-head", spec, "--extract", *sets, "--out", tmp_path / "first")
    assert status == 0, err
    own = ("train-head", spec, *sets, "--from", tmp_path / "first", "--out", tmp_path / "second")
    status, _, err = vdprobe(*own)
    assert status == 0, err
    record = json.loads((tmp_path / "second" / "training.json").read_text())
    assert (record["started_from"], len(record["model"]["start"])) == (first.strip(), 64)
    assert record["config"]["head"]["width"] == 32
    status, _, err = vdprobe(*own, "--set", "head.width=64")
    assert (status, "has width 32, and this training 64: leave head.width out" in err.splitlines()[-1]) == (1, True)
    status, _, err = vdprobe("train-head", spec, "--from", tmp_path / "none")
    assert (status, "there is no head in" in err.splitlines()[-1]) == (1, True)


@pytest.mark.parametrize(
    ("extra", "status", "message"),
    [
        (["--set", "setps=3"], 2, "unknown option 'setps': did you mean 'steps'"),
        (["--set", "val_split=vl"], 2, "no split 'vl'; did you mean 'val'"),
        (["--set", "timestep=5"], 1, "there is no feature store"),
        (["--set", "words=./none"], 1, "the head's text encoder: there is no folder ./none"),
        (["--set", "precision=fp16"], 2, "precision 'fp16' needs a GPU"),
        (["--device", "tpu9"], 2, "device 'tpu9'"),
    ],
)
def test_errors_are_one_line_and_teach(vdprobe, spec, tmp_path, extra, status, message):
    got, _, err = vdprobe("train-head", spec, "--out", tmp_path / "out", *extra)
    assert message in err
    assert got == status
    assert len([line for line in err.splitlines() if line.startswith("error: ")]) == 1


def test_a_file_that_is_not_there(vdprobe, tmp_path):
    status, _, err = vdprobe("train-head", tmp_path / "none.yaml")
    assert (status, "cannot read the spec" in err) == (2, True)


def test_an_interruption_says_how_to_go_on(vdprobe, spec, tmp_path, monkeypatch):
    from vdprobe.training import head_training

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(head_training, "train_head", interrupted)
    status, _, err = vdprobe("train-head", spec, "--out", tmp_path / "out")
    assert status == 130
    assert "interrupted: run the same command again to go on" in err


def test_progress_is_of_the_extraction_and_then_of_the_steps(vdprobe, spec, tmp_path, monkeypatch):
    from vdprobe.cli import output

    monkeypatch.setattr(output, "LINE_EVERY", -1.0)
    status, _, err = vdprobe("train-head", spec, "--extract", "--set", "val_split=null", "--out", tmp_path / "out")
    assert status == 0, err
    lines = err.splitlines()
    items = [i for i, line in enumerate(lines) if " items, " in line]
    steps = [i for i, line in enumerate(lines) if " steps, " in line and " left, loss " in line]
    assert len(steps) == 2
    assert max(items) < min(steps)
