import itertools
import json
import multiprocessing
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from head_things import SMALL, gradients, load_training, one_of_two
from safetensors.torch import load_file

from vdprobe.errors import ConfigError, DataError, StoreError, TrainingError
from vdprobe.head.files import load_head
from vdprobe.specs.canonical import to_plain
from vdprobe.training import head_training
from vdprobe.training.cached_clips import CachedClips
from vdprobe.training.head_batches import by_shape
from vdprobe.training.head_data import HeadPlans
from vdprobe.training.head_training import HeadTraining, rate_at, train_head
from vdprobe.training.head_validation import score_expressions

TIMES = ("seconds", "waiting")


def rows(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def weights(folder):
    return load_file(folder / "head.safetensors")


def assert_equal(found, expected, bar):
    """Gradients, to a share of the largest one: some are sums that cancel."""
    largest = max(gradient.abs().max().item() for gradient in expected.values())
    for name, gradient in expected.items():
        assert (found[name] - gradient).abs().max().item() < bar * largest, name


def overlap(config, out):
    """Mean J of the last head on what it was trained on."""
    training = load_training(config, out)
    data, head = training.data, load_head(out / "last")
    scores = list(score_expressions(head, data.train[0], data.referrals.usable, training.words))
    return sum(score.j for score in scores) / len(scores)


@pytest.mark.slow
def test_it_learns_what_the_features_show_and_nothing_from_noise(configure_head, tmp_path, monkeypatch):
    config = configure_head(
        features={"videos": {"texts_per_object": 1}},
        head=SMALL | {"dropout": 0},
        steps=60,
        batch_size=4,
        rate=2e-3,
        neck_rate=2e-3,
        clip_norm=1.0,
    )
    train_head(config, tmp_path / "shown")
    losses = [row["loss"] for row in rows(tmp_path / "shown")]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    shown = overlap(config, tmp_path / "shown")
    levels = CachedClips.levels
    monkeypatch.setattr(CachedClips, "levels", lambda *given: [torch.randn_like(x) for x in levels(*given)])
    train_head(config, tmp_path / "noise")
    assert shown > 0.6 > 0.4 > overlap(config, tmp_path / "noise")


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_stopped_at_any_step_and_resumed_is_as_uninterrupted(configure_head, tmp_path, monkeypatch, kept):
    config = configure_head(views=[{"flip": True}], val_split="val", val_every=2)
    whole = train_head(config, tmp_path / "whole")
    assert [row["step"] for row in rows(tmp_path / "whole") if "J&F" in row] == [2, 4]
    plain, save = HeadTraining.step, head_training.save_state

    def killed(self, step, *given):
        if step == kept + 1:
            raise KeyboardInterrupt
        return plain(self, step, *given)

    with monkeypatch.context() as patch:
        patch.setattr(HeadTraining, "step", killed)
        # What came after this state is in the log only, and must be made again.
        patch.setattr(head_training, "save_state", lambda out, s: save(out, s) if s["step"] == kept else None)
        if kept < 3:
            with pytest.raises(KeyboardInterrupt):
                train_head(config, tmp_path / "cut", save_seconds=0.0)
        else:
            train_head(config, tmp_path / "cut", save_seconds=0.0)
    with (tmp_path / "cut" / "log.jsonl").open("a") as log:
        log.write('{"step": 4, "lo')  # killed while writing
    made = []
    again = train_head(config, tmp_path / "cut", on_step=lambda row, before: made.append((row["step"], before)))
    assert made == [(step, kept) for step in range(kept + 1, 5)]
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    for name in ("last", "best"):
        first, second = (weights(tmp_path / run / name) for run in ("whole", "cut"))
        assert all(torch.equal(first[key], second[key]) for key in first)
    assert (again.scores, again.loss) == (whole.scores, whole.loss)
    finished = train_head(config, tmp_path / "cut", on_step=lambda *_: made.append(None))
    assert None not in made
    assert (finished.scores, finished.step_seconds, finished.waiting) == (whole.scores, None, None)


def test_what_lies_in_the_folder(configure_head, tmp_path):
    config = configure_head(steps=2, val_split="val", val_every=1)
    made = train_head(config, tmp_path)
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["config"]["head"]["width"] == 32
    assert "workers" not in record["config"]
    assert record["model"]["parts"].keys() == {"pixels"}
    assert record["versions"]["torch"]
    events = list((tmp_path / "tensorboard").glob("events.out.tfevents.*"))
    content = b"".join(path.read_bytes() for path in events)
    assert all(tag in content for tag in (b"training/loss", b"training/waiting", b"validation/J_and_F"))
    assert made.last == tmp_path / "last"
    assert load_head(made.last).config.level_widths == (48, 192, 768, 3072)
    measured = [{name: row[name] for name in ("J&F", "J", "F")} for row in rows(tmp_path)]
    assert made.scores == max(measured, key=lambda scores: scores["J&F"])
    assert measured[0]["J&F"] == pytest.approx((measured[0]["J"] + measured[0]["F"]) / 2)
    assert made.best == tmp_path / "best"
    assert not list(tmp_path.rglob("*.part"))


def test_levels_are_standardised_by_what_is_trained_on(configure_head, tmp_path):
    """In every view, not in the split that is measured; and only where it is asked for."""
    config = configure_head(steps=1, val_split="val", views=[{"flip": True}])
    head = load_head(train_head(config, tmp_path / "out").last)
    assert head.config.standardised
    data = load_training(config, tmp_path / "again").data
    for i, standard in enumerate(head.standards):
        read = [
            data.train[number % 2].levels(data.clips().clips[r.video.id][0], r.expression.text)[i]
            for number, r in enumerate(data.referrals.usable)
        ]
        values = torch.cat([level.transpose(0, 1).flatten(1) for level in read], dim=1).double()
        torch.testing.assert_close(standard.mean.double(), values.mean(1), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(standard.deviation.double(), values.std(1, correction=0), rtol=1e-3, atol=1e-4)
    plain = train_head(configure_head(steps=1, standardise=False), tmp_path / "plain").last
    assert not load_head(plain).config.standardised


def test_without_a_validation_split_there_is_no_best(configure_head, tmp_path):
    made = train_head(configure_head(steps=1), tmp_path)
    assert (made.best, made.scores) == (None, None)
    assert not (tmp_path / "best").exists()


def test_how_it_is_read_may_change_on_the_way_and_what_it_is_may_not(configure_head, tmp_path):
    config = configure_head(steps=1)
    train_head(config, tmp_path)
    train_head(replace(config, workers=1), tmp_path)
    for key, changes in (("seed", {"seed": 1}), ("rate", {"rate": 0.1}), ("head.queries", {"head": {"queries": 2}})):
        with pytest.raises(ConfigError, match=rf"another '{key}' \(.*give another --out") as caught:
            train_head(configure_head(steps=1, **changes), tmp_path)
        assert "\n" not in str(caught.value)
    record = json.loads((tmp_path / "training.json").read_text())
    record["model"]["words"] = "other"
    (tmp_path / "training.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match=r"another 'model\.words'"):
        train_head(config, tmp_path)


def test_a_loss_that_is_not_finite_stops_and_names_its_batch(configure_head, tmp_path, monkeypatch):
    plain = head_training.HeadLosses.forward

    def spoilt(self, *given):
        return {name: loss * float("nan") for name, loss in plain(self, *given).items()}

    with monkeypatch.context() as patch:
        patch.setattr(head_training.HeadLosses, "forward", spoilt)
        with pytest.raises(TrainingError, match=r"not finite at step 1 \(train-0000\d/\d+, .*bad_batch\.json\)"):
            train_head(configure_head(steps=1), tmp_path)
    bad = json.loads((tmp_path / "bad_batch.json").read_text())
    assert [set(clip) for clip in bad["clips"]] == [{"video", "expression", "text", "frames", "view"}] * 2
    assert (bad["total"], bad["gradient_norm"]) == ("nan", "nan")
    assert not (tmp_path / "state.pt").exists()
    train_head(configure_head(steps=1), tmp_path)  # mended, it goes on


@pytest.mark.slow
def test_two_processes_train_as_one_with_their_joint_batch(configure_head, tmp_path):
    """Of clips of two shapes, so that processes have different numbers of batches."""
    config = configure_head(
        features={"store": {"path": str(tmp_path / "store")}},
        views=[{"short_side": 48}],
        batch_size=3,
        steps=2,
        val_split="val",
        seed=1,
        head=SMALL | {"dropout": 0.3},
    )
    HeadPlans.make(config).extract()
    clips = load_training(config, tmp_path).data.clips()
    views = [clips.load(0, place).name["view"] for place in range(3)]
    assert views[0] != views[2]
    losses, alone = gradients(config, tmp_path)
    train_head(config, tmp_path / "alone")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=one_of_two, args=(rank, config, tmp_path)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()  # gloo itself gives up on a process that never comes
    assert [process.exitcode for process in processes] == [0, 0]
    for rank in (0, 1):
        shared_losses, together = torch.load(tmp_path / f"gradients{rank}.pt")
        assert shared_losses == pytest.approx(losses, rel=1e-5)
        scale = max(float(gradient.abs().max()) for gradient in alone.values())
        for name, gradient in alone.items():
            torch.testing.assert_close(
                together[name], gradient, rtol=1e-5, atol=1e-5 * scale, msg=lambda m, n=name: f"{n}: {m}"
            )
    for one, two in zip(rows(tmp_path / "alone"), rows(tmp_path / "run"), strict=True):
        assert two == pytest.approx(one, rel=1e-3, abs=1e-5)


def test_gradients_are_those_of_the_mean_over_visible_frames(configure_head, tmp_path):
    """Clips one by one, each by the official normaliser of the whole batch."""
    config = configure_head(batch_size=3)
    _, together = gradients(config, tmp_path)
    training = load_training(config, tmp_path)
    clips = [training.data.clips().load(0, place) for place in range(3)]
    visible = [int(clip.target.visible.sum()) for clip in clips]
    for clip, frames in zip(clips, visible, strict=True):
        before = {name: p.grad for name, p in training.head.named_parameters()}
        training.optimizer.zero_grad(set_to_none=True)
        training.backward(0, [clip])  # divided by the frames of this clip alone
        for name, parameter in training.head.named_parameters():
            parameter.grad = parameter.grad * frames / sum(visible) + (0 if before[name] is None else before[name])
    assert_equal({name: parameter.grad for name, parameter in training.head.named_parameters()}, together, 1e-5)


def test_clips_of_several_shapes_are_one_batch(configure_head, tmp_path):
    config = configure_head(batch_size=2)
    training = load_training(config, tmp_path)
    first, second = (training.data.clips().load(0, place) for place in range(2))
    short = replace(
        second,
        levels=[level[:1] for level in second.levels],
        target=replace(
            second.target,
            boxes=second.target.boxes[:1],
            masks=second.target.masks[:1],
            visible=torch.tensor([True]),
        ),
    )
    assert [len(group) for group in by_shape([first, second])] == [2]
    assert [len(group) for group in by_shape([first, short, first])] == [2, 1]
    losses = training.backward(0, [first, short])
    alone = [training.backward(0, [clip])["total"] for clip in (first, short)]
    frames = int(first.target.visible.sum())
    assert losses["total"] == pytest.approx((alone[0] * frames + alone[1]) / (frames + 1), rel=1e-4)


def test_dropout_is_drawn_from_seed_step_and_place(configure_head, tmp_path):
    training = load_training(configure_head(head=SMALL | {"dropout": 0.5}), tmp_path)
    clip = training.data.clips().load(0, 1)
    torch.manual_seed(0)
    first = training.backward(3, [clip])
    torch.manual_seed(1)
    assert training.backward(3, [clip]) == first
    assert training.backward(4, [clip]) != first
    assert training.backward(3, [replace(clip, place=0)]) != first


def test_rates_fall_to_a_tenth_at_each_drop(configure_head, tmp_path):
    shares = [rate_at(step, 9, (6 / 9, 8 / 9)) for step in range(9)]
    assert shares == pytest.approx([1] * 6 + [0.1] * 2 + [0.01])
    training = load_training(configure_head(rate=1e-3, neck_rate=0, weight_decay=0), tmp_path)
    before = {name: parameter.clone() for name, parameter in training.head.named_parameters()}
    training.step(0, [training.data.clips().load(0, 0)], 0.0)
    moved = {name for name, parameter in training.head.named_parameters() if not torch.equal(parameter, before[name])}
    assert not any(name.startswith("neck.") for name in moved)
    assert moved > {"queries.tokens", "decoder.positions", "refiner.fine2.weight"}


def test_clips_are_read_ahead_in_processes(configure_head, tmp_path):
    train_head(configure_head(steps=2), tmp_path / "here")
    train_head(configure_head(steps=2, workers=1), tmp_path / "ahead")
    assert rows(tmp_path / "here") == rows(tmp_path / "ahead")


def test_the_log_tells_the_share_of_waiting(configure_head, tmp_path, monkeypatch):
    ticks = itertools.count()
    # Not the clock of the whole process, which other threads read too.
    monkeypatch.setattr(head_training, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    training = load_training(configure_head(), tmp_path)
    began = next(ticks) - 3.0
    row = training.step(0, [training.data.clips().load(0, 0)], began)
    assert (row["seconds"], row["waiting"]) == (5.0, 0.8)  # four ticks of waiting, one of work


def test_bfloat16_is_close_and_float16_wants_a_gpu(configure_head, tmp_path):
    exact, rough = (gradients(configure_head(precision=name), tmp_path)[0] for name in ("no", "bf16"))
    assert rough != exact
    assert rough["total"] == pytest.approx(exact["total"], rel=0.05)
    with pytest.raises(ConfigError, match="precision 'fp16' needs a GPU; take bf16 or no"):
        train_head(configure_head(precision="fp16"), tmp_path)


def test_what_the_store_lacks_is_counted_with_what_makes_it(configure_head, tmp_path):
    away = {"store": {"path": str(tmp_path / "store")}}
    with pytest.raises(StoreError, match=r"no feature store at .*store: add --extract, or run `vdprobe extract`"):
        train_head(configure_head(features=away), tmp_path / "out")
    assert not (tmp_path / "out").exists()  # nor is the folder that training's
    config = configure_head(features=away, steps=1, val_split="val")
    train_head(config, tmp_path / "out", fill=True)
    with pytest.raises(ConfigError, match="another 'seed'"):
        train_head(replace(config, seed=7), tmp_path / "out", fill=True)
    kept = sorted((tmp_path / "store").glob("*/train-00001/*.zarr"))
    assert len(kept) == 1
    shutil.rmtree(kept[0])
    with pytest.raises(StoreError, match=r"1 of 4 items are not in the store .* \(videos train-00001\): add --extract"):
        train_head(config, tmp_path / "out")
    train_head(config, tmp_path / "out", fill=True)


def test_damaged_features_and_masks_are_one_line(configure_head, shapes, tmp_path):
    folder = tmp_path / "shapes"
    shutil.copytree(shapes, folder)
    changed = {"videos": {"path": str(folder)}, "store": {"path": str(tmp_path / "store")}}
    config = configure_head(features=changed, steps=3)
    train_head(replace(config, steps=1), tmp_path / "out", fill=True)
    mask = next((folder / "train" / "Annotations").glob("*/00001.png"))
    kept = mask.read_bytes()
    mask.write_bytes(b"no mask")
    with pytest.raises(DataError, match=r"00001\.png is not a PNG") as caught:
        train_head(replace(config, workers=1, batch_size=4), tmp_path / "other")
    assert "\n" not in str(caught.value)
    mask.write_bytes(kept)
    for chunk in (tmp_path / "store").glob("*/*/*.zarr/pixels.4/c/0/0/0/0/0"):
        chunk.write_bytes(b"")
    with pytest.raises(StoreError, match="are not in the store"):
        train_head(config, tmp_path / "third")


def test_more_processes_than_clips_are_refused(configure_head, tmp_path, monkeypatch):
    class Three:
        num_processes = 3

    monkeypatch.setattr(head_training, "start_accelerate", lambda *_: Three())
    with pytest.raises(ConfigError, match=r"batch_size \(=2\) is the clips of all processes, of which there are 3"):
        train_head(configure_head(), tmp_path)


def test_words_are_encoded_once(configure_head, tmp_path, monkeypatch):
    away = {"store": {"path": str(tmp_path / "store")}}
    train_head(configure_head(features=away, steps=1), tmp_path / "first", fill=True)

    def loaded(*_):
        raise AssertionError("an encoder was loaded")

    monkeypatch.setattr("vdprobe.head.words.TextEncoder.load", loaded)
    made = train_head(configure_head(features=away, steps=1, seed=1), tmp_path / "second")
    assert not any("words" in note for note in made.notes)
    for path in (tmp_path / "store" / "words").rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AssertionError, match="an encoder was loaded"):
        train_head(configure_head(features=away, steps=1, seed=2), tmp_path / "third")


def test_the_configuration_can_be_read_back(configure_head):
    from vdprobe.training.head_config import parse_head_config

    config = configure_head(views=[{"flip": True}], val_split="val")
    assert parse_head_config(json.loads(json.dumps(to_plain(config)))) == config
