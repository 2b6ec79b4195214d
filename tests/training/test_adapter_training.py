import itertools
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vdprobe.errors import ConfigError, DataError, ModelError, TrainingError
from vdprobe.extraction.config import parse_config
from vdprobe.extraction.plan import make_plan
from vdprobe.extraction.run import extract
from vdprobe.models.diffusion.adapter import load_adapter
from vdprobe.specs.video import Resize
from vdprobe.store.store import FeatureStore
from vdprobe.training import adapter_training, checkpoint
from vdprobe.training.adapter_training import (
    AdapterTraining,
    adapter_parts,
    find_pipeline,
    find_referrals,
    mask_cells,
    masks_at,
    rate_at,
    train_adapter,
)
from vdprobe.training.referring_clips import ClipDraws

PARTS = {
    ("vd-i", "gaussian"): {"image_projection"},
    ("vd-t", "gaussian"): {"text_projection"},
    ("vd-it", "gaussian"): {"image_projection", "text_image_attention"},
    ("vd-it", "predicted"): {"image_projection", "text_image_attention", "noise_predictor"},
}


def load(config):
    return AdapterTraining.load(
        config, find_pipeline(config.model.pipeline), find_referrals(config.videos.path, config.videos.split)
    )


def frozen_modules(training):
    backbone = training.frozen.backbone
    modules = [backbone.video.vae, backbone.denoiser.unet, training.frozen.text_encoder.model]
    return modules + ([backbone.image.model] if backbone.image else [])


def rows(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


@pytest.mark.parametrize(("condition", "noise"), PARTS)
def test_gradients_reach_every_part_and_nothing_that_is_frozen(configure, tmp_path, condition, noise):
    training = load(configure(condition=condition, noise=noise))
    parts = PARTS[condition, noise]
    assert {name for name, _ in training.adapter.named_children()} == set(adapter_parts(condition, noise)) == parts
    before = [{k: v.clone() for k, v in m.state_dict().items()} for m in frozen_modules(training)]
    training.step(0, tmp_path)  # before it the last layers are zeros, which nothing goes back through
    clip = training.draws.batch(0, 1)[0]
    training.loss(clip, 0).total.backward()
    for name, parameter in (*training.adapter.named_parameters(), *training.head.named_parameters()):
        assert parameter.grad is not None, name
        # A key's bias-free projection may get little, but never exactly nothing.
        assert parameter.grad.abs().sum() > 0, name
    training.optimizer.zero_grad()
    started = {k: v.clone() for k, v in training.adapter.state_dict().items()}
    training.step(1, tmp_path)
    assert all(not torch.equal(v, started[k]) for k, v in training.adapter.state_dict().items())
    for module, old in zip(frozen_modules(training), before, strict=True):
        assert all(p.grad is None and not p.requires_grad for p in module.parameters())
        assert all(torch.equal(v, old[k]) for k, v in module.state_dict().items())


@pytest.mark.parametrize(
    ("condition", "noise"), [("vd-it", "predicted"), ("vd-i", "gaussian"), ("vd-t", "frame-shared")]
)
def test_training_sees_what_an_extraction_with_the_saved_adapter_stores(configure, shapes, tmp_path, condition, noise):
    config = configure(condition=condition, noise=noise, timestep=20, adapter_rate=1e-2, clip_norm=1.0)
    training = load(config)
    for step in range(2):
        training.step(step, tmp_path)
    training.adapter.save(tmp_path / "adapter.safetensors")
    values = {
        "model": {"pipeline": "random:tiny", "device": "cpu", "adapter": str(tmp_path / "adapter.safetensors")},
        "videos": {"path": str(shapes), "split": "train"},
        "clips": {"kind": "consecutive", "frames": 2},
        "resize": {"short_side": 32, "long_side": None},
        "conditions": [condition],
        "noises": [noise],
        "timesteps": [20],
        "seed": 5,
        "exact": True,
        "store": {"path": str(tmp_path / "store"), "dtype": "float32"},
    }
    plan = make_plan(parse_config(values))
    assert [s.condition.form for s in plan.specs if s.condition] == ["adapter"]
    store = FeatureStore.create(tmp_path / "store")
    assert extract(plan, store).ok
    clip = training.draws.batch(7, 1)[0]
    video, text = clip.referral.video, clip.referral.expression.text
    frozen = training.frozen
    with torch.no_grad():
        ours = frozen.features(frozen.encode(video, clip.frames), video, clip.frames, frozen.read(text), 5)
    compared = 0
    for stored in store.items():
        if (stored.item.video, stored.item.frames, stored.item.text or text) != (video.id, clip.frames, text):
            continue
        for tap in stored.taps:
            t = {"timestep": 20} if tap.startswith("unet") else {}
            theirs = np.asarray(stored.read(tap, **t))
            assert np.abs(theirs - ours[tap].numpy()).max() < 1e-5 * max(1, np.abs(theirs).max()), tap
            compared += 1
    assert compared == 7


def test_the_loss_of_one_batch_goes_down(configure, tmp_path, monkeypatch):
    """Of one batch, drawn again and again: from batch to batch losses differ by more than ten steps change them."""
    batch = ClipDraws.batch
    monkeypatch.setattr(ClipDraws, "batch", lambda self, step, size: batch(self, 0, size))
    config = configure(steps=30, head_rate=1e-3, adapter_rate=1e-3, clip_norm=1.0, noise="gaussian")
    train_adapter(config, tmp_path)
    losses = [row["loss"] for row in rows(tmp_path)]
    assert np.mean(losses[-3:]) < 0.7 * np.mean(losses[:3])


def test_stopped_and_resumed_is_as_uninterrupted(configure, tmp_path, monkeypatch):
    config = configure(steps=5, videos={"val_split": "val"}, validate_every=2, val_clips=2, adapter_rate=1e-3)
    whole = train_adapter(config, tmp_path / "whole")
    assert [row["step"] for row in rows(tmp_path / "whole") if "j" in row] == [2, 4, 5]
    assert whole.j == rows(tmp_path / "whole")[-1]["j"]

    plain = AdapterTraining.step

    def killed(self, step, out):
        if step == 4:
            raise KeyboardInterrupt
        return plain(self, step, out)

    save = adapter_training.save_state
    with monkeypatch.context() as patch:
        patch.setattr(AdapterTraining, "step", killed)
        # Saved after step 3: step 4 is in the log only, and must be made again.
        patch.setattr(adapter_training, "save_state", lambda out, s: save(out, s) if s["step"] == 3 else None)
        with pytest.raises(KeyboardInterrupt):
            train_adapter(config, tmp_path / "cut", save_seconds=0.0)
    assert not (tmp_path / "cut" / "adapter.safetensors").exists()
    with (tmp_path / "cut" / "log.jsonl").open("a") as log:
        log.write('{"step": 5, "lo')  # killed while writing
    made = []
    train_adapter(config, tmp_path / "cut", on_step=lambda row, before: made.append((row["step"], before)))
    assert made == [(4, 3), (5, 3)]
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    first, second = (load_file(tmp_path / name / "adapter.safetensors") for name in ("whole", "cut"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    again = train_adapter(config, tmp_path / "cut", on_step=lambda *_: made.append(None))
    assert None not in made
    assert (again.loss, again.j) == (whole.loss, whole.j)


def test_the_folder_says_what_it_holds(configure, tmp_path):
    made = train_adapter(configure(steps=1), tmp_path)
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["config"]["clips"]["frames"] == 2
    assert record["model"]["parts"]["unet"]
    assert record["versions"]["torch"]
    assert made.adapter == tmp_path / "adapter.safetensors"
    assert {n for n, _ in load_adapter(made.adapter).named_children()} == PARTS["vd-it", "predicted"]
    torch.load(tmp_path / "state.pt", weights_only=True)
    assert not list(tmp_path.glob("*.part"))


def test_another_configuration_in_the_same_folder_is_refused(configure, shapes, tmp_path):
    train_adapter(configure(steps=1), tmp_path)

    def refused(key, config):
        with pytest.raises(ConfigError, match=rf"result with another '{key}' \(.*give another --out") as caught:
            train_adapter(config, tmp_path)
        assert "\n" not in str(caught.value)

    refused("seed", configure(steps=1, seed=1))
    refused("steps", configure(steps=2))
    refused("clips.frames", configure(steps=1, clips={"frames": 1}))
    record = json.loads((tmp_path / "training.json").read_text())
    for part, key in (("model", "parts"), ("data", "train")):  # other weights, other expressions
        changed = json.loads(json.dumps(record))
        changed[part][key] = {"unet": "other"} if key == "parts" else "other"
        (tmp_path / "training.json").write_text(json.dumps(changed))
        refused(rf"{part}\.{key}.*", configure(steps=1))


def test_a_loss_that_is_not_finite_stops_and_names_its_batch(configure, tmp_path, monkeypatch):
    plain = adapter_training.mask_loss

    def spoilt(*args):
        loss = plain(*args)
        return replace(loss, dice=loss.dice * float("nan"))

    with monkeypatch.context() as patch:
        patch.setattr(adapter_training, "mask_loss", spoilt)
        with pytest.raises(TrainingError, match=r"not finite at step 1 \(train-0000\d/\d+, .*bad_batch\.json\)"):
            train_adapter(configure(steps=1), tmp_path)
    bad = json.loads((tmp_path / "bad_batch.json").read_text())
    assert len(bad["clips"]) == 2
    assert bad["clips"][0]["text"]
    assert bad["clips"][0]["loss"] == "nan"
    assert not (tmp_path / "state.pt").exists()
    train_adapter(configure(steps=1), tmp_path)  # mended, it goes on


def test_damaged_and_missing_files_are_said(configure, tmp_path):
    train_adapter(configure(steps=1), tmp_path)
    log = (tmp_path / "log.jsonl").read_text()
    (tmp_path / "log.jsonl").write_text("")
    with pytest.raises(TrainingError, match=r"log\.jsonl has 0 of 1 steps, in 0 rows; remove .*state\.pt"):
        train_adapter(configure(steps=1), tmp_path)
    (tmp_path / "log.jsonl").write_text(log)
    (tmp_path / "state.pt").write_bytes(b"torn")
    with pytest.raises(TrainingError, match=r"state\.pt is damaged .* remove it"):
        train_adapter(configure(steps=1), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot make the folder .*give another --out"):
        train_adapter(configure(steps=1), tmp_path / "file" / "below")


def test_a_model_without_the_levels_of_vd_it_is_told(configure, tmp_path):
    with pytest.raises(
        ModelError, match=r"train-adapter.* UNet3DConditionModel or .*, and .*WanTransformer3DModel: extract"
    ):
        train_adapter(configure(model={"pipeline": "random:tiny-wan"}), tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_full_disk_leaves_the_last_state(configure, tmp_path, monkeypatch):
    checkpoint.save_state(tmp_path, {"step": 1})

    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(checkpoint.torch, "save", full)
    with pytest.raises(TrainingError, match=r"cannot write .*state\.pt: No space left"):
        checkpoint.save_state(tmp_path, {"step": 2})
    assert checkpoint.load_state(tmp_path) == {"step": 1}


def test_the_rate_rises_in_a_line_and_falls_in_a_cosine():
    rates = [rate_at(step, 100, 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (k + 1) for k in range(10)])
    assert rates[55] == pytest.approx(0.5)
    assert 0 < rates[99] < 0.01
    assert rate_at(0, 1, 0.0) == 1
    assert all(b <= a for a, b in itertools.pairwise(rates[10:]))


def test_both_rates_are_their_own(configure, tmp_path):
    training = load(configure(head_rate=1e-3, adapter_rate=0, warmup=0, weight_decay=0))
    before = training.adapter.fingerprints(), training.head.out.weight.clone()
    training.step(0, tmp_path)
    assert training.adapter.fingerprints() == before[0]
    assert not torch.equal(training.head.out.weight, before[1])


@pytest.mark.parametrize(
    ("latents", "noise", "changes"), [("sample", "none", True), ("mode", "none", False), ("mode", "gaussian", True)]
)
def test_noise_and_posterior_are_fresh_at_every_step(configure, tmp_path, monkeypatch, latents, noise, changes):
    training = load(configure(latents=latents, noise=noise, head_rate=0, adapter_rate=0, weight_decay=0))
    clips = training.draws.batch(0, 2)
    monkeypatch.setattr(type(training.draws), "batch", lambda *_: clips)
    first, second = (training.step(step, tmp_path)["loss"] for step in (0, 1))
    assert (first != second) == changes


def test_encodings_are_kept_until_memory_is_full(configure, shapes, monkeypatch):
    training = load(configure())
    frozen, calls = training.frozen, []
    encode = type(frozen.backbone.video).__call__
    monkeypatch.setattr(
        type(frozen.backbone.video), "__call__", lambda self, *a, **k: calls.append(1) or encode(self, *a, **k)
    )
    one, two = (r.video for r in (training.referrals.usable[0], training.referrals.usable[-1]))
    first = frozen.encode(one, (0, 1))
    assert frozen.encode(one, (0, 1)) is first
    frozen.kept.limit = frozen.kept.used
    frozen.encode(two, (0, 1))
    frozen.encode(two, (0, 1))
    assert frozen.encode(one, (0, 1)) is first
    assert len(calls) == 3
    kept = frozen.kept.used
    assert kept == sum(t.nbytes for t in first.tensors)
    assert not first.frames.mean.is_inference()


def test_cells_take_the_middle_of_their_pixels_and_know_the_padding():
    mask = np.zeros((1, 20, 24), bool)
    mask[:, 6:, :10] = True
    target, valid = mask_cells(mask, Resize(short_side=None, long_side=None), (20, 24))
    assert target.shape == (1, 8, 8)  # padded to 32 x 32
    assert valid.sum() == 5 * 6
    assert target[0].nonzero().tolist() == [[i, j] for i in range(1, 5) for j in range(2)]


def test_masks_come_back_at_the_size_of_the_video():
    logits = torch.full((1, 8, 8), -5.0)
    logits[:, 2:4, 2:4] = 5.0
    found = masks_at(logits, (20, 24), (20, 24))
    assert found.shape == (1, 20, 24)
    assert found[0, 9:15, 9:15].all()  # all but the corners of 8 to 16, which bilinear values round off
    assert found.sum() == found[0, 8:16, 8:16].sum() > 50
    half = masks_at(logits, (20, 24), (40, 48))
    assert half.shape == (1, 40, 48)
    assert half.sum() == pytest.approx(4 * found.sum(), rel=0.2)


def test_measured_masks_are_those_of_the_right_clips(configure, monkeypatch):
    config = configure(videos={"val_split": "val"}, val_clips=2)
    referrals, val = (find_referrals(config.videos.path, split) for split in ("train", "val"))
    training = AdapterTraining.load(config, find_pipeline("random:tiny"), referrals, val)
    assert {clip.referral.video.id[:3] for clip in training.val} == {"val"}
    truths = iter([training.val[0].mask, ~training.val[1].mask])
    monkeypatch.setattr(adapter_training, "masks_at", lambda *_: next(truths))
    assert training.measure() == pytest.approx(0.5)  # one all right, one all wrong


def test_texts_that_are_cut_and_expressions_left_out_are_noted(configure, shapes, tmp_path):
    import shutil

    folder = tmp_path / "long"
    shutil.copytree(shapes, folder)
    path = folder / "meta_expressions" / "train" / "meta_expressions.json"
    value = json.loads(path.read_text())
    first = next(iter(value["videos"].values()))["expressions"]
    first["0"]["exp"] = "word " * 30
    first["99"] = {"exp": "of nobody"}
    path.write_text(json.dumps(value))
    made = train_adapter(configure(steps=1, videos={"path": str(folder)}, noise="none"), tmp_path / "out")
    assert any(note.startswith("1 texts were cut") for note in made.notes)
    assert any(note.startswith("1 expressions do not say which object") for note in made.notes)


def test_a_frame_that_cannot_be_read_stops_in_one_line(configure, shapes, tmp_path):
    import shutil

    folder = tmp_path / "torn"
    shutil.copytree(shapes, folder)
    for frame in Path(folder, "train", "JPEGImages").glob("*/*.jpg"):
        frame.write_bytes(frame.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"\.jpg cannot be read") as caught:
        train_adapter(configure(videos={"path": str(folder)}), tmp_path / "out")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps (=0) must be at least 1"),
        ({"batch_size": 0}, "batch_size (=0)"),
        ({"seed": -1}, "seed (=-1) must be at least 0"),
        ({"adapter_rate": -1.0}, "adapter_rate (=-1.0)"),
        ({"head_rate": math.nan}, "head_rate (=nan)"),
        ({"clip_norm": 0.0}, "clip_norm (=0.0) must be above 0"),
        ({"warmup": 1.0}, "warmup (=1.0) is a share"),
        ({"resize": {"flip": True}}, "set resize.flip=false"),
        ({"head_rat": 1}, "unknown option 'head_rat': did you mean 'head_rate'"),
        ({"clips": {"frame": 1}}, "unknown option 'clips.frame': did you mean 'frames'"),
        ({"condition": "vd-x"}, "(='vd-x')"),
    ],
)
def test_configurations_that_make_no_sense(configure, changes, message):
    with pytest.raises(ConfigError) as caught:
        configure(**changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_timestep_or_model_that_is_not_there(configure, tmp_path):
    with pytest.raises(ConfigError, match=r"valid: 0\.\.999"):
        train_adapter(configure(timestep=5000), tmp_path / "a")
    with pytest.raises(ModelError, match="no architecture 'tinny'"):
        train_adapter(configure(model={"pipeline": "random:tinny"}), tmp_path / "b")


def test_clips_have_five_frames_unless_they_say_otherwise():
    from vdprobe.training.config import parse_training_config

    values = {"model": {"pipeline": "x"}, "videos": {"path": "y"}, "steps": 1}
    assert parse_training_config(values).clips.frames == 5
    assert parse_training_config(values | {"clips": {"kind": "vdit"}}).clips.frames == 5
