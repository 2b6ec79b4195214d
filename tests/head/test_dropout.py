import pytest
import torch
from torch import nn

from vdprobe.head.config import HeadConfig
from vdprobe.head.dropout import ClipDropout, SelfAttention, clip_draws
from vdprobe.head.head import Head


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_a_share_is_dropped_and_the_mean_stays():
    dropout = ClipDropout(0.25)
    x = torch.ones(4, 100, 50)
    with clip_draws(dropout, generators(0, 1)):
        found = dropout(x)
    assert found.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert (found == 0).float().mean() == pytest.approx(0.25, abs=0.02)
    assert not torch.equal(found[0], found[1])
    assert not torch.equal(found[:2], found[2:])
    assert torch.equal(dropout.eval()(x), x)


def test_outside_it_draws_as_torch_does():
    dropout, x = ClipDropout(0.5), torch.ones(2, 3, 4)
    with clip_draws(dropout, generators(0)):
        pass
    torch.manual_seed(0)
    found = dropout(x)
    torch.manual_seed(0)
    assert torch.equal(found, nn.functional.dropout(x, 0.5))


def test_a_clips_draws_do_not_depend_on_its_batch_or_its_padding():
    dropout, x = ClipDropout(0.5), torch.ones(2, 6, 8)
    padding = torch.tensor([[False] * 6, [False] * 4 + [True] * 2])
    with clip_draws(dropout, generators(3, 4)):
        both = [dropout(x, padding), dropout(x)]
    with clip_draws(dropout, generators(4)):
        alone = [dropout(x[1:, :4], padding[1:, :4]), dropout(x[1:])]
    assert torch.equal(both[0][1:, :4], alone[0])
    assert torch.equal(both[1][1:], alone[1])


def test_attention_is_that_of_torch():
    ours, theirs = SelfAttention(32, 4, 0.0), nn.MultiheadAttention(32, 4, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    asked, x = torch.randn(3, 5, 32), torch.randn(3, 5, 32)
    torch.testing.assert_close(ours(asked, x), theirs(asked, asked, x)[0])


def test_the_heads_answer_in_training_is_that_of_its_clips():
    sizes = {"neck_hidden": (8,) * 4, "neck_widths": (8,) * 4, "width": 32, "encoder_layers": 1, "decoder_layers": 1}
    head = Head(HeadConfig(level_widths=(5, 6, 7, 8), text_width=10, feedforward=16, queries=3, dropout=0.4, **sizes))
    shapes = ((5, 16), (6, 8), (7, 4), (8, 2))
    levels = [torch.randn(4, width, side, side) for width, side in shapes]
    words, padding = torch.randn(2, 6, 10), torch.zeros(2, 6, dtype=torch.bool)
    padding[1, 3:] = True
    with torch.no_grad(), clip_draws(head, generators(0, 1)):
        both = head(levels, words, padding)
    with torch.no_grad(), clip_draws(head, generators(1)):
        alone = head([level[2:] for level in levels], words[1:, :3], padding[1:, :3])
    torch.testing.assert_close(both.hidden[:, 1:], alone.hidden, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(both.features[2:], alone.features, rtol=1e-4, atol=1e-5)
    with torch.no_grad(), clip_draws(head, generators(2)):
        other = head([level[2:] for level in levels], words[1:], padding[1:])
    assert not torch.allclose(other.hidden, alone.hidden, atol=1e-2)
