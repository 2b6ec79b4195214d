import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vdprobe.data.video import Video
from vdprobe.errors import DataError, ModelError
from vdprobe.head.config import HeadConfig
from vdprobe.head.files import save_head
from vdprobe.head.head import Head
from vdprobe.studies.predict.head_folder import find_head
from vdprobe.studies.predict.log import Prediction, PredictionLog
from vdprobe.studies.predict.make import _Writer
from vdprobe.studies.predict.mask_files import (
    PALETTE,
    expression_folder,
    frame_files,
    holds,
    read_mask,
    write_labels,
    write_mask,
)

TINY = HeadConfig(level_widths=(4,) * 4, neck_hidden=(4,) * 4, neck_widths=(4,) * 4, text_width=8, width=32, heads=1)


def prediction(expression="0", **more):
    values = {"text": "a dog", "digest": "0" * 64, "queries": (1,), "scores": (0.25, 0.75), "masks": 2, "empty": 1}
    return Prediction(video="dog", expression=expression, **{**values, **more})


def test_masks_are_grey_and_labels_have_the_colours_of_pascal(tmp_path):
    mask = np.eye(5, dtype=bool)
    write_mask(tmp_path / "mask.png", mask)
    with Image.open(tmp_path / "mask.png") as image:
        assert (image.mode, sorted(set(np.asarray(image).ravel().tolist()))) == ("L", [0, 255])
    assert (read_mask(tmp_path / "mask.png") == mask).all()
    labels = np.arange(0, 256, dtype=np.uint8).reshape(16, 16)
    write_labels(tmp_path / "labels.png", labels)
    with Image.open(tmp_path / "labels.png") as image:
        assert (image.mode, (np.asarray(image) == labels).all()) == ("P", True)
        assert image.getpalette() == list(PALETTE)
    assert [PALETTE[3 * k : 3 * k + 3] for k in (0, 1, 2, 3, 8, 20, 255)] == [
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (64, 0, 0), (0, 64, 128), (224, 224, 192),
    ]  # fmt: skip


def test_places_and_names(tmp_path):
    assert expression_folder(tmp_path, "ref-ytvos", "a", "0") == tmp_path / "masks" / "Annotations" / "a" / "0"
    assert expression_folder(tmp_path, "mevis", "a", "0") == tmp_path / "masks" / "a" / "0"
    names = frame_files(Video("a", Path("a"), ("00005.jpg", "x.1.png")), 2)
    assert names == ["00005.png", "x.1.png"]
    assert frame_files(Video("a", Path("a.mp4")), 2) == ["00000.png", "00001.png"]
    (tmp_path / "a").mkdir()
    for name in names:
        assert not holds(tmp_path / "a", names)
        (tmp_path / "a" / name).touch()
    assert holds(tmp_path / "a", names)
    assert not holds(tmp_path / "b", [])


def test_what_was_written_down_is_read_again(tmp_path):
    results = ({"image_id": "v_a_f_1", "score": 0.5, "segmentation": {"size": [2, 2], "counts": "4"}},)
    rows = [prediction("0", text="a\u2028dog\nwith \udc80 \u00e9"), prediction("1", results=results)]
    log = PredictionLog(tmp_path / "log.jsonl")
    for row in rows:
        log.add(row)
    log.add(replace(rows[1], empty=0))
    again = PredictionLog(tmp_path / "log.jsonl")
    assert again.found == {("dog", "0"): rows[0], ("dog", "1"): replace(rows[1], empty=0)}
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2  # the last one holds
    assert (rows[0].score, rows[1].score) == (0.5, 0.75)


def test_half_a_line_is_cut_off(tmp_path):
    path = tmp_path / "log.jsonl"
    log = PredictionLog(path)
    log.add(prediction("0"))
    log.add(prediction("1"))
    path.write_text(path.read_text()[:-20])
    again = PredictionLog(path)
    again.add(prediction("2"))
    assert [expression for _, expression in PredictionLog(path).found] == ["0", "2"]
    path.write_text('{"video": "dog"}\n[1]\nnull\n' + path.read_text())
    assert len(PredictionLog(path).found) == 2


def test_a_log_that_cannot_be_written(tmp_path):
    log = PredictionLog(tmp_path / "log.jsonl")
    (tmp_path / "log.jsonl").unlink()
    (tmp_path / "log.jsonl").mkdir()
    with pytest.raises(DataError, match=r"cannot write .*log\.jsonl: .*; free space and run it again"):
        log.add(prediction())


@pytest.fixture
def training(tmp_path):
    """A folder of `train-head`, as it says what it was made of."""
    features = {
        "model": {"pipeline": "random:tiny", "adapter": "random:0"},
        "videos": {"path": "train", "split": "train", "only": ["a"]},
        "clips": {"kind": "windows", "frames": 8, "overlap": 0},
        "noises": ["none"],
    }
    config = {"features": features, "timestep": 500, "words": "roberta-base", "steps": 10}
    record = {"config": config, "model": {"name": "x", "parts": {"unet": "1"}, "words": "2"}}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "training.json").write_text(json.dumps(record))
    for seed, name in enumerate(("best", "last")):
        (tmp_path / "run" / name).mkdir()
        save_head(Head(TINY, seed=seed), tmp_path / "run" / name)
    return tmp_path / "run"


def rewrite(training, change):
    record = json.loads((training / "training.json").read_text())
    change(record["config"])
    (training / "training.json").write_text(json.dumps(record))


def test_a_training_gives_its_best_head_and_all_but_its_videos(training):
    found = find_head(training)
    assert found.folder == training / "best"
    assert found.model == {"unet": "1", "words": "2"}
    assert {**found.defaults} == {
        "features": {
            "model": {"pipeline": "random:tiny", "adapter": "random:0"},
            "clips": {"kind": "windows", "frames": 8, "overlap": 0},
            "noises": ["none"],
        },
        "timestep": 500,
        "words": "roberta-base",
    }
    assert found.notes == ()
    last = find_head(training / "last")
    assert (last.folder, last.defaults) == (training / "last", found.defaults)
    assert last.digest != found.digest
    (training / "best" / "head.json").unlink()
    assert find_head(training).folder == training / "last"


@pytest.mark.parametrize("clips", [{"kind": "vdit", "frames": 5}, {"kind": "windows", "frames": 8, "overlap": 2}])
def test_clips_that_are_no_windows_are_not_taken_over(training, clips):
    rewrite(training, lambda config: config["features"].update(clips=clips))
    found = find_head(training)
    assert "clips" not in found.defaults["features"]
    assert found.notes == (f"the head was trained on clips of kind '{clips['kind']}', its masks are made in windows",)


def test_an_imported_head_is_the_official_one(tmp_path):
    save_head(Head(TINY), tmp_path)
    (tmp_path / "adapter.safetensors").touch()
    found = find_head(tmp_path)
    assert (found.folder, found.model) == (tmp_path, {})
    assert {**found.defaults} == {
        "features": {
            "conditions": ["vd-it"],
            "noises": ["predicted"],
            "timesteps": [0],
            "model": {"adapter": str(tmp_path / "adapter.safetensors")},
        },
        "words": "roberta-base",
    }


def test_folders_without_a_head(training, tmp_path):
    def fails(message, folder):
        with pytest.raises(ModelError, match=message):
            find_head(folder)

    fails("there is no head in .*; give a folder that `vdprobe train-head` or", tmp_path / "nowhere")
    (training / "best" / "head.safetensors").unlink()
    fails(r"no head\.safetensors in .*best", training)
    for name in ("best", "last"):
        (training / name / "head.json").unlink()
    fails("the training in .*run has no head yet .*best.*last", training)
    save_head(Head(TINY), training / "best")
    rewrite(training, lambda config: config.pop("features"))
    fails("is no record of `vdprobe train-head`", training)


def test_a_frame_that_comes_again_counts_as_it_was_last(tmp_path):
    """A query that led at first may have marked nothing where the chosen one does, and the other way round."""
    writer = _Writer(tmp_path, ["0.png", "1.png"], None, 0)
    some, none = torch.ones(4, 4), -torch.ones(4, 4)
    writer((0, 1), torch.stack([some, none]))
    assert writer.empty == {1}
    writer((0, 1), torch.stack([none, some]))
    assert writer.empty == {0}
    assert not read_mask(tmp_path / "0.png").any()
    assert read_mask(tmp_path / "1.png").all()
