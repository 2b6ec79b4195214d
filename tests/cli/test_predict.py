"""From videos to masks as a user does it, with an untrained head on an untrained model."""

import json
import shutil

import numpy as np
import pytest
import torch
from mask_files import read_mask
from PIL import Image
from tiny_head import tiny_head

from vdprobe.data.moving_shapes import make_video
from vdprobe.data.moving_shapes.write import write_moving_shapes
from vdprobe.extraction.clip_work import clips_by_video
from vdprobe.extraction.plan import make_plan
from vdprobe.extraction.report import Report
from vdprobe.head.files import load_head
from vdprobe.head.words import WordEncoder, pad_words
from vdprobe.models.diffusion.adapter import make_adapter
from vdprobe.models.diffusion.pipeline import find_pipeline
from vdprobe.specs.load import build
from vdprobe.store.store import FeatureStore
from vdprobe.studies.predict.config import PredictConfig
from vdprobe.studies.predict.make import Maker
from vdprobe.training.cached_clips import CachedClips
from vdprobe.training.video_masks import at_source_size

HEIGHT, WIDTH, FRAMES = 38, 45, 5
"""No side is a multiple of 16, before or after resizing."""
TEXTS = {"a": ["a ring", "the disk that moves left"], "b": ["a star"]}
NAMES = [(video, str(k)) for video, texts in TEXTS.items() for k in range(len(texts))]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for number, id in enumerate(TEXTS):
        (folder / "frames" / id).mkdir(parents=True)
        for k, frame in enumerate(make_video("train", number, frames=FRAMES, side=48).rendering.frames):
            Image.fromarray(frame[:HEIGHT, :WIDTH]).save(folder / "frames" / id / f"{10 * k:05d}.png")
    (folder / "texts.json").write_text(json.dumps(TEXTS))
    return folder


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """A head and an adapter as `import-official` leaves them."""
    folder = tiny_head(tmp_path_factory.mktemp("imported"))
    pipeline = find_pipeline("random:tiny")
    unet = pipeline.config("unet")
    adapter = make_adapter(
        width=unet["cross_attention_dim"],
        image_width=pipeline.config("image_encoder")["hidden_size"],
        latent_channels=unet["in_channels"],
        seed=0,
    )
    adapter.save(folder / "adapter.safetensors")
    return folder


def arguments(videos, run, place):
    """Windows of two frames: the last one is alone."""
    return [
        *("predict", run, "--videos", videos / "frames", "--expressions", videos / "texts.json"),
        *("--model", "random:tiny", "--words", "pipeline", "--store", place / "store", "--out", place / "out"),
        *("--set", "features.resize.short_side=36", "--set", "features.clips.frames=2", "--device", "cpu"),
    ]


@pytest.fixture
def command(videos, imported, tmp_path):
    return arguments(videos, imported, tmp_path)


@pytest.fixture(scope="module")
def finished(videos, imported, tmp_path_factory):
    """What one undisturbed run leaves; not to be changed."""
    import sys

    from vdprobe.cli.main import main

    place = tmp_path_factory.mktemp("finished")
    patch = pytest.MonkeyPatch()
    patch.setattr(sys, "argv", ["vdprobe", *map(str, arguments(videos, imported, place)), "--overlays", "2"])
    with pytest.raises(SystemExit) as end:
        main()
    patch.undo()
    assert end.value.code == 0
    return place


@pytest.fixture
def done(finished, tmp_path):
    """A copy of it where `command` looks."""
    for name in ("store", "out"):
        shutil.copytree(finished / name, tmp_path / name)
    return tmp_path / "out"


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def record(out):
    return json.loads((out / "predict.json").read_text())


def test_masks_lie_at_the_size_and_under_the_names_of_the_frames(finished):
    out = finished / "out"
    stems = [f"{10 * k:05d}" for k in range(FRAMES)]
    assert sorted(files(out / "masks")) == sorted(f"{v}/{e}/{s}.png" for v, e in NAMES for s in stems)
    for path in (out / "masks").rglob("*.png"):
        mask = read_mask(path)
        assert mask.shape == (HEIGHT, WIDTH)
        assert set(np.unique(mask)) <= {0, 255}
    assert sorted(path.name for path in out.iterdir()) == ["masks", "overlays", "predict.json", "predictions.jsonl"]
    films = sorted(path.relative_to(out / "overlays").as_posix() for path in (out / "overlays").rglob("*.mp4"))
    assert films == ["a/0.mp4", "b/0.mp4"]
    assert (out / "overlays" / "sheet.png").exists()


def test_the_record_tells_what_was_predicted_with_what(finished, imported):
    value = record(finished / "out")
    told = value["predicted"]
    assert told["head"] == str(imported)
    assert told["counts"]["expressions"] == 3
    assert (told["counts"]["videos"], told["counts"]["masks"]) == (2, 3 * FRAMES)
    empty = sum(not read_mask(path).any() for path in (finished / "out" / "masks").rglob("*.png"))
    assert told["counts"]["empty_masks"] == empty
    assert told["asked"]["features"]["conditions"] == ["vd-it"]
    assert told["asked"]["features"]["noises"] == ["predicted"]
    assert set(value["model"]["specs"]) == {"vae", "vd-it/predicted"}
    assert all(len(key) == 64 for key in value["model"]["specs"].values())
    assert {"vdprobe", "torch", "zarr"} <= set(value["versions"])
    rows = told["expressions"]
    assert [(row["video"], row["expression"], row["text"]) for row in rows] == [
        (video, str(k), text) for video, texts in TEXTS.items() for k, text in enumerate(texts)
    ]
    for row in rows:  # one query, however many windows
        assert (len(row["queries"]), len(row["scores"]), row["masks"]) == (1, FRAMES, FRAMES)
        assert row["score"] == pytest.approx(np.mean(row["scores"]))
    assert (told["failures"], told["already"]) == ([], 0)


def test_the_same_again_makes_nothing(vdprobe, command, done, monkeypatch):
    def fail(*_, **__):
        raise AssertionError("made again")

    before = files(done)
    shutil.rmtree(done.parent / "store")  # nothing is left to do, so its features are not missed
    monkeypatch.setattr(Maker, "make", fail)
    status, text, err = vdprobe(*command, "--json")
    assert status == 0, err
    assert json.loads(text)["already"] == 3
    assert "3 expressions were there" in err
    assert files(done) == before


def test_what_is_missing_or_of_other_frames_is_made_again(vdprobe, command, videos, done, tmp_path):
    before = files(done / "masks")
    shutil.rmtree(done / "masks" / "a" / "1")
    status, text, _ = vdprobe(*command, "--json")
    assert (status, json.loads(text)["already"]) == (0, 2)
    assert files(done / "masks") == before
    (done / "masks" / "b" / "0" / "00010.png").unlink()
    assert json.loads(vdprobe(*command, "--json")[1])["already"] == 2
    assert files(done / "masks") == before


def test_another_content_of_a_video_is_predicted_anew(vdprobe, videos, imported, tmp_path):
    shutil.copytree(videos, tmp_path / "own")
    command = arguments(tmp_path / "own", imported, tmp_path)
    assert vdprobe(*command, "--only", "b")[0] == 0
    first = tmp_path / "own" / "frames" / "b" / "00000.png"
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(first)
    assert json.loads(vdprobe(*command, "--only", "b", "--json")[1])["already"] == 0
    (tmp_path / "own" / "texts.json").write_text(json.dumps(TEXTS | {"b": ["a cross"]}))
    made = json.loads(vdprobe(*command, "--only", "b", "--json")[1])
    assert (made["already"], made["expressions"][0]["text"]) == (0, "a cross")


def test_stopped_in_the_middle_it_goes_on_to_the_same_masks(vdprobe, command, finished, tmp_path, monkeypatch):
    shutil.copytree(finished / "store", tmp_path / "store")
    make = Maker.make
    calls = []

    def stop(self, job):
        calls.append(job.name)
        if len(calls) == 2:
            (self.out / "unfinished").mkdir()  # as a killed process leaves it
            raise KeyboardInterrupt
        return make(self, job)

    monkeypatch.setattr(Maker, "make", stop)
    status, _, err = vdprobe(*command)
    assert (status, "run the same command again to go on" in err) == (130, True)
    with (tmp_path / "out" / "predictions.jsonl").open("a") as log:
        log.write('{"video": "a", "expre')
    monkeypatch.setattr(Maker, "make", make)
    status, text, _ = vdprobe(*command, "--json")
    assert (status, json.loads(text)["already"]) == (0, 1)
    assert files(tmp_path / "out" / "masks") == files(finished / "out" / "masks")
    assert not (tmp_path / "out" / "unfinished").exists()
    assert json.loads(text)["expressions"] == record(finished / "out")["predicted"]["expressions"]


def test_damaged_lines_of_the_log_are_predicted_again_and_told(vdprobe, command, done):
    log, before = done / "predictions.jsonl", files(done / "masks")
    first, second, third = log.read_bytes().splitlines()
    torn = (b"\xff" + first[1:], second[:-9] + b"}", b"[" * 100_000, b"[]", b'{"video": "a"}')
    log.write_bytes(b"\n".join((*torn, third, b"")))
    status, text, err = vdprobe(*command, "--json")
    assert (status, json.loads(text)["already"]) == (0, 1)
    assert f"note: 5 lines of {log} were damaged: what they told of is predicted again" in err
    assert files(done / "masks") == before


def test_predictions_of_another_head_or_configuration_are_not_mixed(vdprobe, command, done, imported, tmp_path):
    before = files(done)

    def refused(key, *options, run=None):
        given = [run or part if part == imported else part for part in command]
        status, _, err = vdprobe(*given, *options)
        assert status == 2
        assert f"holds a result with another '{key}'" in err
        assert "give another --out" in err.splitlines()[-1]
        assert files(done) == before

    shutil.copytree(imported, tmp_path / "other")
    tiny_head(tmp_path / "other", queries=4)
    refused("head", run=tmp_path / "other")
    refused("benchmark", "--benchmark", "mevis")
    refused("query", "--set", "query=clip")
    refused("videos.only", "--only", "a")
    refused("model.specs.vd-it/predicted", "--set", "features.seed=3")


def test_a_query_for_each_clip(vdprobe, command, finished, tmp_path):
    shutil.copytree(finished / "store", tmp_path / "store")
    status, text, err = vdprobe(*command, "--set", "query=clip", "--json")
    assert status == 0, err
    for row in json.loads(text)["expressions"]:
        assert (len(row["queries"]), len(row["scores"])) == (3, FRAMES)


def test_a_damaged_head_is_said_in_one_line(vdprobe, videos, imported, tmp_path):
    shutil.copytree(imported, tmp_path / "head")
    weights = tmp_path / "head" / "head.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    status, _, err = vdprobe(*arguments(videos, tmp_path / "head", tmp_path))
    assert status == 1
    assert "head.safetensors: it is damaged, or no file of tensors" in err.splitlines()[-1]
    status, _, err = vdprobe(*arguments(videos, tmp_path / "nowhere", tmp_path))
    assert (status, "there is no head in" in err, err.count("\n")) == (1, True, 1)


def test_what_cannot_be_used_is_listed_and_the_rest_goes_on(vdprobe, videos, imported, finished, tmp_path):
    """A text without words, a video that cannot be read, and one without a text."""
    shutil.copytree(videos, tmp_path / "own")
    shutil.copytree(finished / "store", tmp_path / "store")
    frames = tmp_path / "own" / "frames"
    for id in ("torn", "silent"):
        shutil.copytree(frames / "a", frames / id)
    (frames / "torn" / "00020.png").write_bytes(b"torn")
    texts = {"a": ["a ring", "  "], "b": ["a star"], "torn": ["a ring"]}
    (tmp_path / "own" / "texts.json").write_text(json.dumps(texts))
    status, text, err = vdprobe(*arguments(tmp_path / "own", imported, tmp_path), "--json")
    made = json.loads(text)
    assert status == 1
    failures = {failure["where"]: failure["error"] for failure in made["failures"]}
    assert set(failures) == {"a/1", "silent", "torn[2..3]", "torn/0"}
    assert len(made["failures"]) == 4
    assert "has an empty text" in failures["a/1"]
    assert "has no expression" in failures["silent"]
    assert "00020.png" in failures["torn[2..3]"]
    assert failures["torn/0"].startswith("no features of video 'torn', frames 2..3")
    assert [(row["video"], row["expression"]) for row in made["expressions"]] == [("a", "0"), ("b", "0")]
    assert sorted(path.name for path in (tmp_path / "out" / "masks").iterdir()) == ["a", "b"]
    for where, error in failures.items():
        assert f"failed: {where}: {error}" in err
    assert record(tmp_path / "out")["predicted"]["failures"] == made["failures"]


def test_masks_of_another_content_do_not_stay_where_new_ones_fail(vdprobe, videos, imported, tmp_path, monkeypatch):
    shutil.copytree(videos, tmp_path / "own")
    command = (*arguments(tmp_path / "own", imported, tmp_path), "--only", "b")
    assert vdprobe(*command)[0] == 0
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "own" / "frames" / "b" / "00000.png")
    monkeypatch.setattr("vdprobe.studies.predict.run.extract", lambda *_, **__: Report())
    status, text, _ = vdprobe(*command, "--json")
    made = json.loads(text)
    assert (status, made["expressions"], made["counts"]["masks"]) == (1, [], 0)
    assert made["failures"][0]["where"] == "b/0"
    assert files(tmp_path / "out" / "masks") == {}


def test_the_masks_are_those_of_the_best_query_of_all_frames(finished, imported):
    """Computed here in one pass over the features of all windows."""
    value = record(finished / "out")["predicted"]
    config = build(PredictConfig, value["asked"])
    cached = CachedClips.of(make_plan(config.features), FeatureStore.open(finished / "store"))
    words = WordEncoder.load("pipeline", cached.plan.pipeline, torch.device("cpu"))
    head = load_head(imported)
    by_video = clips_by_video(cached.clips)
    for row in value["expressions"]:
        clips, text = by_video[row["video"]], row["text"]
        assert [len(clip.frames) for clip in clips] == [2, 2, 1]
        levels = [torch.cat(parts) for parts in zip(*(cached.levels(clip, text) for clip in clips), strict=True)]
        sizes = cached.sizes(clips[0], text)
        assert (sizes.source, sizes.frame, sizes.padded) == ((HEIGHT, WIDTH), (36, 42), (48, 48))
        batch, padding = pad_words(words([text]))
        with torch.inference_mode():
            best = head.best(head(levels, batch, padding, [sizes.frame]))
        expected = at_source_size(best.masks[0, :, 0], sizes)
        for k, logits in enumerate(expected.numpy()):
            mask = read_mask(finished / "out/masks" / row["video"] / row["expression"] / f"{10 * k:05d}.png")
            sure = np.abs(logits) > 1e-3
            assert ((mask > 0) == (logits > 0))[sure].all()
            assert sure.mean() > 0.99
        assert row["scores"] == pytest.approx(best.logits[0, :, 0].sigmoid().tolist(), abs=1e-4)


def test_a_training_s_options_are_taken_and_changes_are_said(vdprobe, videos, imported, tmp_path):
    """Everything but the videos comes from `training.json`."""
    features = {
        "model": {"pipeline": "random:tiny"},
        "videos": {"path": "nowhere", "split": "train"},
        "conditions": ["vd-i"],
        "noises": ["none"],
        "clips": {"kind": "vdit", "frames": 5},
        "resize": {"short_side": 36, "long_side": 640, "multiple": 16, "flip": False},
        "store": {"path": str(tmp_path / "store"), "dtype": "float16"},
    }
    config = {"features": features, "timestep": 0, "words": "pipeline"}
    identity = find_pipeline("random:tiny").identity(("unet",)).parts
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "training.json").write_text(json.dumps({"config": config, "model": {"parts": identity}}))
    shutil.copytree(imported, tmp_path / "run" / "last")
    command = ("predict", tmp_path / "run", "--videos", videos / "frames", "--expressions", videos / "texts.json")
    place = ("--device", "cpu", "--set", "features.model.adapter=random:0", "--json")
    status, text, err = vdprobe(*command, *place, "--out", tmp_path / "one")
    assert status == 0, err
    assert f"the head: {tmp_path / 'run' / 'last'}" in err
    assert set(record(tmp_path / "one")["model"]["specs"]) == {"vae", "vd-i/none"}
    assert json.loads(text)["notes"][0].startswith("the head was trained on clips of kind 'vdit'")
    assert not [note for note in json.loads(text)["notes"] if "trained with" in note or "another model" in note]
    changed = ("--model", "random:tiny:1", "--set", "features.resize.short_side=32")
    status, text, _ = vdprobe(*command, *place, *changed, "--out", tmp_path / "two")
    notes = " ".join(json.loads(text)["notes"])
    assert status == 0
    assert "the head was trained on another model than 'random:tiny:1': unet" in notes
    assert "the head was trained with resize {'short_side': 36" in notes


def test_a_trained_head_scores_as_in_its_validation(vdprobe, tmp_path):
    """Train, predict and evaluate as a user does: the same masks, so the same J&F to the last digit."""
    shapes = tmp_path / "shapes"
    write_moving_shapes(shapes, {"train": 1, "val": 2}, frames=3, side=48)
    sizes = {"neck_hidden": [8] * 4, "neck_widths": [8] * 4, "width": 32, "heads": 4, "feedforward": 16, "queries": 3}
    config = {
        "features": {
            "model": {"pipeline": "random:tiny", "device": "cpu"},
            "videos": {"path": str(shapes), "split": "train"},
            "conditions": ["vd-i"],
            "resize": {"short_side": 40},
            "clips": {"frames": 2},
            "store": {"path": str(tmp_path / "store")},
        },
        "val_split": "val",
        "head": {**sizes, "encoder_layers": 1, "decoder_layers": 1},
        "steps": 1,
        "frames": 2,
        "workers": 0,
    }
    (tmp_path / "head.yaml").write_text(json.dumps(config))
    status, text, err = vdprobe("train-head", tmp_path / "head.yaml", "--extract", "--out", tmp_path / "run", "--json")
    assert status == 0, err
    status, _, err = vdprobe(
        "predict", tmp_path / "run", "--videos", shapes, "--split", "val", "--out", tmp_path / "out"
    )
    assert status == 0, err
    assert "items" not in err  # its features were there
    command = ("evaluate", tmp_path / "out" / "masks", "--protocol", "ytvos", "--dataset", shapes, "--split", "val")
    scores = json.loads(vdprobe(*command, "--workers", 1, "--json")[1])["scores"]
    assert scores == pytest.approx(json.loads(text)["scores"], abs=1e-12)


def test_a_disk_that_takes_no_more(vdprobe, command, finished, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    shutil.copytree(finished / "store", tmp_path / "store")
    monkeypatch.setattr("vdprobe.studies.predict.make.write_mask", full)
    status, _, err = vdprobe(*command)
    assert status == 1
    assert "cannot write to" in err
    assert err.splitlines()[-1].endswith("No space left on device; free space and run it again")
    assert not (tmp_path / "out" / "masks").exists()


def test_progress_and_what_is_missing_to_begin(vdprobe, videos, imported, finished, command, tmp_path, monkeypatch):
    monkeypatch.setattr("vdprobe.cli.output.LINE_EVERY", 0.0)
    shutil.copytree(finished / "store", tmp_path / "store")
    status, out, err = vdprobe(*command)
    assert status == 0
    lines = [line for line in err.splitlines() if "expressions," in line and "/s" in line]
    assert [line.split(" ")[0] for line in lines] == ["1/3", "2/3", "3/3"]
    assert out.splitlines() == [str(tmp_path / "out" / "masks")]
    status, _, err = vdprobe("predict", imported, "--model", "random:tiny")
    assert (status, "nothing says which videos: give --videos, or 'features.videos.path' in a spec" in err) == (2, True)
    status, _, err = vdprobe("predict", imported, "--videos", videos / "frames")
    assert (status, "nothing says which model: give --model" in err) == (2, True)


def test_a_spec_file_holds_the_same(vdprobe, command, done, tmp_path):
    spec = {"features": {"resize": {"short_side": 36}, "clips": {"frames": 2}}, "words": "pipeline"}
    (tmp_path / "predict.yaml").write_text(json.dumps(spec))
    kept = [part for part in command if part not in ("--words", "pipeline", "--set") and "=" not in str(part)]
    status, text, err = vdprobe(*kept, "--config", tmp_path / "predict.yaml", "--json")
    assert status == 0, err
    assert json.loads(text)["already"] == 3


def test_running_out_of_memory_names_the_remedy(vdprobe, command, finished, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise torch.OutOfMemoryError("no")

    shutil.copytree(finished / "store", tmp_path / "store")
    monkeypatch.setattr("vdprobe.studies.predict.make.segment_video", fail)
    status, _, err = vdprobe(*command)
    assert (status, "ran out of memory: free some of it, or give --device cpu" in err) == (1, True)


def test_damaged_features_give_no_masks(vdprobe, command, done, tmp_path):
    shutil.rmtree(done)
    for path in (tmp_path / "store").rglob("c/*/*/*/*/*"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    status, _, err = vdprobe(*command)
    assert status == 1 and "is damaged (checksum differs); run `vdprobe store repair` and extract video" in err
    assert files(done) == {}
    status, _, err = vdprobe(*command, "--no-verify")
    assert status == 0, err
    assert len(files(done)) == len(NAMES) * FRAMES
