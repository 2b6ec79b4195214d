"""Standardised channels: by the right numbers, stored with the head, and off for heads of before."""

import json

import pytest
import torch

from vdprobe.errors import ModelError
from vdprobe.head.config import HeadConfig
from vdprobe.head.files import load_head, save_head
from vdprobe.head.head import Head
from vdprobe.head.standards import LEAST, measure

SIZES = {"width": 32, "heads": 4, "encoder_layers": 1, "decoder_layers": 1, "feedforward": 16, "text_width": 10}
SIZES |= {"neck_hidden": (8, 8, 8, 8), "neck_widths": (8, 8, 8, 8), "level_widths": (5, 6, 7, 8)}


def levels(clips=1, *, scale=(1.0, 1.0, 1.0, 1.0), shift=0.0):
    """Levels of frames of 64 pixels, each of a scale of its own."""
    generator = torch.Generator().manual_seed(clips)
    return [
        torch.randn(clips, width, 64 // stride, 64 // stride, generator=generator) * factor + shift
        for width, stride, factor in zip(SIZES["level_widths"], (4, 8, 16, 32), scale, strict=True)
    ]


def say(head, given):
    words = torch.ones(len(given[0]), 3, 10)
    with torch.no_grad():
        return head(given, words, torch.zeros(len(words), 3, dtype=torch.bool))


def test_statistics_are_those_of_all_places():
    clips = [levels(3, scale=(8, 1, 0.1, 1), shift=100), levels(5), levels(1, shift=-3)]
    for i, found in enumerate(measure(clips)):
        values = torch.cat([clip[i].transpose(0, 1).flatten(1) for clip in clips], dim=1).double()
        torch.testing.assert_close(found.mean.double(), values.mean(1), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found.deviation.double(), values.std(1, correction=0), rtol=1e-5, atol=1e-6)


def test_a_channel_that_does_not_vary_is_not_blown_up():
    level = torch.randn(4, 3, 8, 8)
    level[:, 1] = 7
    (found,) = measure([[level]])
    usual = level.double().var((0, 2, 3), correction=0).mean().sqrt()
    assert found.deviation[1] == pytest.approx(LEAST * float(usual))
    (constant,) = measure([[torch.full((2, 3, 4, 4), 5.0)]])
    assert constant.deviation.tolist() == [1, 1, 1]


def test_the_scale_of_the_features_no_longer_matters():
    head = Head(HeadConfig(**SIZES, standardised=True)).eval()
    plain = levels(2)
    head.standardise(measure([plain]))
    expected = say(head, plain)
    other = [level * 40 + 9 for level in plain]
    head.standardise(measure([other]))
    torch.testing.assert_close(say(head, other).logits, expected.logits, rtol=1e-3, atol=1e-4)
    # and it is what an unstandardised head says of standardised levels
    bare = Head(HeadConfig(**SIZES)).eval()
    given = [(x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), keepdim=True, correction=0) for x in plain]
    torch.testing.assert_close(say(bare, given).logits, expected.logits, rtol=1e-3, atol=1e-4)


def test_statistics_lie_with_the_head(tmp_path):
    head = Head(HeadConfig(**SIZES, standardised=True)).eval()
    head.standardise(measure([levels(2, scale=(3, 3, 3, 3))]))
    save_head(head, tmp_path)
    again = load_head(tmp_path)
    given = levels(1)
    assert torch.equal(say(again, given).logits, say(head, given).logits)
    assert not torch.equal(say(again, given).logits, say(Head(head.config).eval(), given).logits)


def test_a_head_of_before_is_as_it_was(tmp_path):
    """Its file says nothing of standardising, and its tensors have other names than a standardised head's."""
    head = Head(HeadConfig(**SIZES)).eval()
    save_head(head, tmp_path)
    config = json.loads((tmp_path / "head.json").read_text())
    del config["standardised"]
    (tmp_path / "head.json").write_text(json.dumps(config))
    again = load_head(tmp_path)
    assert not again.config.standardised and not any(name.startswith("standards") for name in again.state_dict())
    assert torch.equal(say(again, levels()).logits, say(head, levels()).logits)
    (tmp_path / "head.json").write_text(json.dumps({**config, "standardised": True}))
    with pytest.raises(ModelError, match=r"standardised is True in head\.json and False by the tensors"):
        load_head(tmp_path)
