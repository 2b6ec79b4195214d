"""An adapter begins with the words as they are, and what becomes of them is measured."""

import json

import pytest
import torch
from torch.nn import functional

from vdprobe.data.moving_shapes.write import write_moving_shapes
from vdprobe.models.diffusion.adapter import make_adapter
from vdprobe.models.diffusion.adapter_set import open_adapter
from vdprobe.models.diffusion.family import family_of
from vdprobe.models.diffusion.pipeline import find_pipeline
from vdprobe.training.adapter_training import AdapterTraining, train_adapter
from vdprobe.training.adapter_words import _judge, measure_words, tell
from vdprobe.training.config import parse_training_config
from vdprobe.training.referring_clips import find_referrals

SIZES = {"width": 64, "image_width": 48, "latent_channels": 4}


@pytest.fixture(scope="module")
def easy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words") / "shapes"
    write_moving_shapes(folder, {"easy-train": 6}, frames=2)
    return folder


@pytest.fixture
def bundled(easy):
    """A training on the bundled model, whose text encoder and image encoder have learnt something."""

    def load(condition):
        values = {
            "model": {"pipeline": "tiny-t2v", "device": "cpu"},
            "videos": {"path": str(easy), "split": "easy-train"},
            "clips": {"kind": "windows", "frames": 2},
            "resize": {"short_side": 128, "long_side": None},
            "condition": condition,
            "noise": "gaussian",
            "steps": 1,
            "val_clips": 6,
        }
        config = parse_training_config(values)
        pipeline = find_pipeline("tiny-t2v")
        return pipeline, AdapterTraining.load(config, pipeline, find_referrals(easy, "easy-train"))

    return load


def test_text_tokens_come_out_as_they_went_in():
    """Whatever gain and bias the text encoder's own last norm has."""
    torch.manual_seed(3)
    gain, bias = torch.rand(64) * 2 + 1, torch.randn(64) * 0.3
    text = functional.layer_norm(torch.randn(400, 64), (64,)) * gain + bias
    image = torch.randn(4, 7, 48)
    adapter = make_adapter(**SIZES)
    adapter.begin_as_identity(text[:300])
    with torch.no_grad():
        found = adapter.text_image_attention(text[300:].reshape(4, 25, 64), adapter.image_projection(image))
        nudged = adapter.text_projection(text)
    new = text[300:].reshape(4, 25, 64)
    assert float((found - new).norm() / new.norm()) < 0.1
    assert float(functional.cosine_similarity(found, new, dim=-1).min()) > 0.98
    assert torch.equal(nudged, text)
    # without the fit the norms alone change them far more
    scaled = functional.layer_norm(functional.layer_norm(new, (64,)), (64,))
    assert float((scaled - new).norm() / new.norm()) > 0.2


def test_untrained_controls_are_as_before():
    """`random:SEED` is a control whose features lie in stores: what it computes never changes."""
    adapter = open_adapter("random:0", family_of(find_pipeline("random:tiny")))
    assert adapter.text_projection.linear2.weight.abs().min() > 0
    assert adapter.text_image_attention.out.weight.abs().min() > 0


def test_before_training_all_is_as_with_the_texts_own_tokens(bundled):
    pipeline, training = bundled("vd-it")
    found = measure_words(training.frozen, pipeline, training.shown())
    own, made = found["text"], found["adapter"]
    assert made["cosine"] > 0.999 and own["cosine"] == pytest.approx(1)
    assert own["text_gap"] > 0 and made["text_gap"] == pytest.approx(own["text_gap"], rel=0.1)
    assert made["over_texts"] == pytest.approx(own["over_texts"], rel=0.05)
    assert own["over_pictures"] == 0 and made["over_pictures"] < 1e-9
    assert own["points_colour"] > 0.8 > own["chance_colour"]
    assert made["points_colour"] == pytest.approx(own["points_colour"], abs=0.1)


def test_words_that_are_lost_and_pictures_that_count_are_seen(bundled):
    pipeline, training = bundled("vd-it")
    part = training.adapter.text_image_attention
    with torch.no_grad():
        part.norm1.weight.zero_()  # nothing of the text goes on
        part.norm1.bias.normal_()
        lost = measure_words(training.frozen, pipeline, training.shown())["adapter"]
        assert abs(lost["text_gap"]) < 1e-5
        assert lost["cosine"] < 0.5 and lost["over_texts"] < 1e-9
        part.norm1.weight.fill_(1.0)
        part.norm1.bias.zero_()
        part.out.weight.normal_()  # much of the picture comes in
        assert measure_words(training.frozen, pipeline, training.shown())["adapter"]["over_pictures"] > 1e-3


@pytest.mark.parametrize("condition", ["vd-i", "concat"])
def test_conditions_with_image_tokens(bundled, condition):
    pipeline, training = bundled(condition)
    found = measure_words(training.frozen, pipeline, training.shown())["adapter"]
    if condition == "vd-i":
        assert found["cosine"] is None and found["text_gap"] is None and found["over_pictures"] > 0
    else:
        assert found["cosine"] == pytest.approx(1) and found["text_gap"] > 0


def test_a_word_points_where_its_attention_is_high():
    """One frame of 8 by 8 pixels and 4 by 4 places: object 1 is red, 2 is not, 3 is red and too small to count."""
    labels = torch.zeros(1, 8, 8, dtype=torch.int64)
    labels[0, :4, :4], labels[0, 4:, 4:] = 1, 2
    kept = torch.full((1, 16, 5), 0.1)
    kept[0, 0, 2] = 0.9
    assert list(_judge(kept, labels, [2], 5, {1, 3}, {2})) == [(1.0, 0.5)]
    assert list(_judge(kept, labels, [2], 5, {2}, {1, 3})) == [(0.0, 0.5)]
    assert list(_judge(kept, labels, [2], 5, {3}, {1, 2})) == []


def test_a_training_writes_down_what_it_did_to_the_words(configure, tmp_path):
    config = configure(condition="vd-it", noise="gaussian", adapter_rate=0.05, clip_norm=5.0)
    made = train_adapter(config, tmp_path)
    words = json.loads((tmp_path / "words.json").read_text())
    assert words == made.words
    assert words["before"]["adapter"]["cosine"] > 0.95 > words["after"]["adapter"]["cosine"]
    assert words["before"]["text"] == words["after"]["text"]
    lines = list(tell(words))
    assert any(line.startswith("cosine: ") and "before" in line for line in lines)
    assert not any(line.startswith("chance_") for line in lines)
    again = train_adapter(config, tmp_path)  # finished: measured once
    assert again.words == words
    (tmp_path / "words.json").unlink()  # of a training that a version without them has finished
    assert set(train_adapter(config, tmp_path).words) == {"after"}
