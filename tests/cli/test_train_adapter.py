import json

import pytest

from vdprobe.data.moving_shapes.write import write_moving_shapes


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shapes"
    write_moving_shapes(folder, {"train": 2, "val": 1}, frames=2, side=32)
    return folder


@pytest.fixture
def command(shapes, tmp_path):
    return [
        *("train-adapter", "--videos", shapes, "--split", "train", "--val-split", "val", "--model", "random:tiny"),
        *("--condition", "vd-it", "--noise", "predicted", "--steps", 2, "--batch-size", 2, "--frames", 2),
        *("--out", tmp_path / "out", "--device", "cpu", "--set", "resize.short_side=32", "--set", "val_clips=1"),
    ]


def test_train_resume_and_extract_as_a_user_does(vdprobe, command, shapes, tmp_path):
    status, out, err = vdprobe(*command)
    assert status == 0, err
    adapter = tmp_path / "out" / "adapter.safetensors"
    assert out.strip() == str(adapter)
    assert "2 steps, last loss" in err
    assert "on the validation split" in err
    kept = adapter.read_bytes()

    status, out, _ = vdprobe(*command, "--json")
    report = json.loads(out)
    assert (status, report["steps"], report["adapter"], report["failures"]) == (0, 2, str(adapter), [])
    assert 0 <= report["j"] <= 1
    assert adapter.read_bytes() == kept

    status, _, err = vdprobe(*command, "--seed", 3)
    assert status == 2
    assert "holds a result with another 'seed' (0, asked for is 3): give another --out" in err

    status, out, err = vdprobe(
        *("extract", "--videos", shapes, "--set", "videos.split=val", "--model", "random:tiny", "--adapter", adapter),
        *("--condition", "vd-it", "--noise", "predicted", "--tap", "unet.in", "--store", tmp_path / "store"),
        *("--set", "resize.short_side=32", "--device", "cpu", "--json"),
    )
    assert status == 0, err
    assert json.loads(out)["written"] > 0


def test_a_spec_file_and_what_overrides_it(vdprobe, shapes, tmp_path):
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        f"""
model: {{pipeline: "random:tiny", device: cpu}}
videos: {{path: "{shapes}"}}
clips: {{frames: 2}}
resize: {{short_side: 32}}
condition: vd-t
noise: none
steps: 3
batch_size: 1
"""
    )
    status, _, err = vdprobe(*("train-adapter", spec, "--steps", 2, "--set", "steps=1", "--out", tmp_path / "out"))
    assert status == 0, err
    assert "1 steps, last loss" in err
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert (record["config"]["steps"], record["config"]["condition"]) == (1, "vd-t")
    assert record["config"]["resize"]["long_side"] == 640


@pytest.mark.parametrize(
    ("extra", "status", "message"),
    [
        (["--set", "head_rat=1"], 2, "unknown option 'head_rat': did you mean 'head_rate'"),
        (["--condition", "vd-x"], 2, "(='vd-x')"),
        (["--steps", "0"], 2, "steps (=0) must be at least 1"),
        (["--split", "trian"], 2, "did you mean 'train'"),
        (["--val-split", "test"], 2, "no split 'test'"),
        (["--timestep", "2000"], 2, "valid: 0..999"),
        (["--model", "random:big"], 1, "no architecture 'big'"),
        (["--videos", "nowhere"], 1, "there is no nowhere"),
        (["--set", "clips.kind=even", "--frames", "9"], 1, "has 2 frames"),
    ],
)
def test_errors_are_one_line_and_teach(vdprobe, command, extra, status, message):
    got, _, err = vdprobe(*command, *extra)
    assert message in err
    assert got == status
    assert any(line.startswith("error: ") for line in err.splitlines())


def test_what_is_missing_altogether(vdprobe):
    status, _, err = vdprobe("train-adapter", "--videos", "x", "--steps", "1")
    assert (status, "nothing says which model: give --model" in err) == (2, True)


def test_an_interruption_says_how_to_go_on(vdprobe, command, monkeypatch):
    from vdprobe.training import adapter_training

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(adapter_training, "train_adapter", interrupted)
    status, _, err = vdprobe(*command)
    assert status == 130
    assert "interrupted: run the same command again" in err


def test_the_progress_line_has_loss_rate_and_time_left(vdprobe, command, monkeypatch):
    from vdprobe.cli import output

    monkeypatch.setattr(output, "LINE_EVERY", -1.0)
    _, _, err = vdprobe(*command)
    line = next(line for line in err.splitlines() if line.startswith("1/2 steps"))
    assert "/s, " in line
    assert " left, loss " in line


def test_failures_mean_exit_status_one(vdprobe, command, shapes, tmp_path):
    import shutil

    folder = tmp_path / "broken"
    shutil.copytree(shapes, folder)
    path = folder / "meta_expressions" / "train" / "meta_expressions.json"
    value = json.loads(path.read_text())
    next(iter(value["videos"].values()))["expressions"]["0"]["exp"] = "  "
    path.write_text(json.dumps(value))
    status, _, err = vdprobe(*command, "--videos", folder)
    assert status == 1
    assert "failed: train-00000/0: " in err
