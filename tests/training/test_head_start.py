"""Trainings that begin with another head, as the official fine-tuning does."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from head_things import SMALL, load_training
from safetensors.torch import load_file

from vdprobe.errors import ConfigError, ModelError, TrainingError
from vdprobe.head.config import HeadConfig
from vdprobe.head.files import load_head, save_head
from vdprobe.head.head import Head
from vdprobe.head.official import official_names, to_official
from vdprobe.head.standards import measure
from vdprobe.specs.load import build
from vdprobe.training import head_start
from vdprobe.training.head_place import HeadPlace, find_place
from vdprobe.training.head_start import begin_with
from vdprobe.training.head_training import train_head

PIXELS = {"level_widths": (48, 192, 768, 3072), "text_width": 64}


def sized(**changes):
    """Sizes that fit raw pixels and the words of `random:tiny`."""
    return build(HeadConfig, SMALL | PIXELS | changes)


@pytest.fixture
def other(tmp_path):
    """An imported head that fits."""
    folder = tmp_path / "other"
    folder.mkdir()
    save_head(Head(sized(), seed=7), folder)
    return folder


def test_all_but_the_scores_is_taken_over(configure_head, other, tmp_path):
    config = configure_head(start=str(other))
    fresh, theirs = Head(sized(), seed=config.seed), load_head(other)
    head = Head(sized(), seed=config.seed)
    begin_with(head, find_place(other))
    reset = {name for name in head.state_dict() if name.startswith("decoder.scores.")}
    assert len(reset) == 2 * SMALL["decoder_layers"]  # a weight and a bias each
    official = {their for name in reset for their in official_names(name)}
    assert official == {their for their in to_official(head) if their.startswith("class_embed.")}
    for name, tensor in head.state_dict().items():
        expected = fresh if name in reset else theirs
        assert torch.equal(tensor, expected.state_dict()[name]), name
    assert any(not torch.equal(fresh.state_dict()[name], theirs.state_dict()[name]) for name in reset)


def test_a_training_begins_with_it(configure_head, other, tmp_path):
    """Before the first step nothing of the head has changed, for which a rate of 0 stands."""
    still = {"steps": 1, "rate": 0, "neck_rate": 0, "weight_decay": 0}
    train_head(configure_head(start=str(other), **still), tmp_path / "out")
    made, theirs = (load_file(folder / "head.safetensors") for folder in (tmp_path / "out" / "last", other))
    differ = {name.split(".")[1] for name in made if not torch.equal(made[name], theirs[name])}
    assert differ == {"scores"}


def test_the_sizes_are_those_of_the_head_unless_others_are_asked_for(configure_head, other):
    asked = configure_head(start=str(other), head={"dropout": 0.0})
    assert (asked.head.width, asked.head.feedforward, asked.head.dropout) == (32, 32, 0.0)
    with pytest.raises(ModelError, match="there is no head in nowhere; give a folder that"):
        configure_head(start="nowhere")


@pytest.mark.parametrize(
    ("changes", "theirs", "message"),
    [
        ({"head": {"width": 64}}, {}, "has width 32, and this training 64: leave head.width out"),
        ({"head": {"queries": 3}}, {}, "has queries 5, and this training 3: leave head.queries out"),
        ({}, {"text_width": 768}, "has text_width 768, and this training 64: set words to the text encoder"),
        ({}, {"level_widths": (512, 960, 1600, 1920)}, r"has level_widths \(512, .*: take the features of the model"),
    ],
)
def test_other_sizes_are_refused(configure_head, other, tmp_path, changes, theirs, message):
    save_head(Head(sized(**theirs)), other)
    with pytest.raises(ModelError, match=message) as caught:
        train_head(configure_head(start=str(other), **changes), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "state.pt").exists()


def test_the_head_is_recorded_by_its_content(configure_head, other, tmp_path):
    config = configure_head(start=str(other), steps=1)
    made = train_head(config, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["model"]["start"] == find_place(other).digest
    assert record["started_from"] == str(other)
    assert "start" not in record["config"]
    # the same head elsewhere is the same training
    moved = shutil.copytree(other, tmp_path / "moved")
    again = train_head(configure_head(start=str(moved), steps=1), tmp_path / "out")
    assert (again.loss, again.step_seconds) == (made.loss, None)
    # another head under the same path, or none, is another training
    save_head(Head(sized(), seed=8), other)
    for changes in ({"start": str(other)}, {"standardise": False}):
        with pytest.raises(ConfigError, match=r"holds a result with another 'model\.start'"):
            train_head(configure_head(steps=1, **changes), tmp_path / "out")


def test_stopped_and_resumed_it_is_as_uninterrupted(configure_head, other, tmp_path, monkeypatch):
    """The head it began with is not begun with again."""
    from vdprobe.training.head_training import HeadTraining

    config = configure_head(start=str(other), steps=3)
    train_head(config, tmp_path / "whole")
    plain = HeadTraining.step

    def killed(self, step, *given):
        if step == 2:
            raise KeyboardInterrupt
        return plain(self, step, *given)

    with monkeypatch.context() as patch:
        patch.setattr(HeadTraining, "step", killed)
        with pytest.raises(KeyboardInterrupt):
            train_head(config, tmp_path / "cut", save_seconds=0.0)
    train_head(config, tmp_path / "cut")
    first, second = (load_file(tmp_path / run / "last" / "head.safetensors") for run in ("whole", "cut"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_training_is_a_start_too(configure_head, tmp_path):
    train_head(configure_head(steps=1), tmp_path / "first")
    training = load_training(configure_head(steps=1), tmp_path / "second")
    begin_with(training.head, find_place(tmp_path / "first"))
    trained = load_head(tmp_path / "first" / "last").state_dict()
    assert torch.equal(training.head.state_dict()["queries.tokens"], trained["queries.tokens"])


def test_a_head_that_changes_while_it_is_read(other, monkeypatch):
    place, read = find_place(other), load_head

    def late(folder):
        save_head(Head(sized(), seed=9), other)
        return read(folder)

    monkeypatch.setattr(head_start, "load_head", late)
    with pytest.raises(TrainingError, match="has just changed; let its training end, or copy it elsewhere"):
        begin_with(Head(sized()), place)


def test_it_is_standardised_as_that_head_is(configure_head, other, tmp_path):
    """An official head is not, and gets what it was trained on; a standardised one keeps its statistics."""
    assert not configure_head(start=str(other)).standardise
    with pytest.raises(ModelError, match="has standardised False, and this training True: leave standardise out"):
        train_head(configure_head(start=str(other), standardise=True), tmp_path / "out")
    head = Head(sized(standardised=True), seed=7)
    head.standardise(measure([[torch.randn(2, width, 2, 2) for width in PIXELS["level_widths"]]]))
    save_head(head, other)
    assert configure_head(start=str(other)).standardise
    train_head(configure_head(start=str(other), steps=1), tmp_path / "out")
    made = load_file(tmp_path / "out" / "last" / "head.safetensors")
    for name, tensor in head.state_dict().items():
        assert not name.startswith("standards.") or torch.equal(made[name], tensor)


def test_trainings_of_before_these_options_go_on(configure_head, tmp_path):
    """Their records know of no letter case, no start, no light of a view, and their heads are not standardised."""
    config = configure_head(steps=1, views=[{"flip": True}], standardise=False)
    train_head(config, tmp_path)
    path = tmp_path / "training.json"
    record = json.loads(path.read_text())
    assert not {"text_case", "standardise"} & set(record["config"])
    assert "start" not in record["model"]
    del record["config"]["views"][0]["lighting"]
    path.write_text(json.dumps(record))
    train_head(config, tmp_path)
    with pytest.raises(ConfigError, match="another 'text_case'"):
        train_head(replace(config, text_case="raw"), tmp_path)
    with pytest.raises(ConfigError, match="another 'standardise'"):
        train_head(replace(config, standardise=True), tmp_path)
    with pytest.raises(ConfigError, match=r"another 'views"):
        train_head(configure_head(steps=1, standardise=False), tmp_path)


def test_another_text_encoder_of_the_same_width_is_told(configure_head, tmp_path):
    """Sizes alone do not tell it, and what the head knows of words is of no use then."""
    train_head(configure_head(steps=1), tmp_path / "first")
    same = train_head(configure_head(start=str(tmp_path / "first"), steps=1), tmp_path / "same")
    assert not any("another model" in note for note in same.notes)
    record = json.loads((tmp_path / "first" / "training.json").read_text())
    record["model"]["words"] = "0" * 64
    (tmp_path / "first" / "training.json").write_text(json.dumps(record))
    other = train_head(configure_head(start=str(tmp_path / "first"), steps=1), tmp_path / "other")
    first = tmp_path / "first" / "last"
    assert other.notes[0] == f"the head in {first} was trained with another model or text encoder (other: words)"


@pytest.mark.parametrize("model", [None, [], {}, {"parts": []}, {"parts": {"unet": 1}, "words": []}])
def test_a_record_that_tells_nothing_is_no_reason_to_stop(model, tmp_path):
    place = HeadPlace(tmp_path, "", {"model": model})
    changes = head_start.list_changes(place, {"parts": {"vae": "a"}, "words": "b"})
    assert len(changes) == (model is not None and "words" in model)
