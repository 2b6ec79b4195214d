from dataclasses import fields, replace

import pytest
import torch

from vdprobe.errors import ConfigError, ModelError
from vdprobe.head.config import HeadConfig
from vdprobe.head.files import load_head, save_head
from vdprobe.head.head import Head
from vdprobe.head.losses import head_losses
from vdprobe.head.masks import dynamic_masks, parameter_count
from vdprobe.head.positions import padding_masks

TINY = HeadConfig(
    level_widths=(5, 6, 7, 8),
    neck_hidden=(9, 10, 11, 12),
    neck_widths=(3, 4, 5, 6),
    text_width=10,
    width=32,
    heads=4,
    encoder_layers=1,
    decoder_layers=2,
    feedforward=16,
    queries=3,
)


def tiny_inputs(frames, height, width, words=4):
    strided = ((height // s, width // s) for s in (4, 8, 16, 32))
    levels = [
        torch.randn(frames, c, max(1, h), max(1, w)) for c, (h, w) in zip(TINY.level_widths, strided, strict=True)
    ]
    return levels, torch.randn(1, words, TINY.text_width), torch.zeros(1, words, dtype=torch.bool)


def assert_close(a, b, **bars):
    for field in fields(a):
        torch.testing.assert_close(getattr(a, field.name), getattr(b, field.name), **bars)


def test_gradients_reach_every_parameter_and_every_level(head, one_clip):
    levels, *others = one_clip.inputs
    levels = [level.clone().requires_grad_() for level in levels]
    losses = head_losses(head.matched(head(levels, *others), one_clip.target), one_clip.target)
    sum(layer.total for layer in losses).backward()
    still = [name for name, p in head.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert still == []
    assert all(level.grad.abs().max() > 0 for level in levels)


def test_a_query_s_place_is_learnt_from_its_boxes_alone(head, one_clip):
    guesses = head(*one_clip.inputs)
    (grad,) = torch.autograd.grad(
        head.best(guesses).masks.sum(), head.decoder.boxes[1].layers[2].bias, allow_unused=True
    )
    assert grad is None


@torch.inference_mode()
def test_the_best_query_has_the_highest_mean_score_not_logit(head, one_clip):
    guesses = head(*one_clip.inputs)
    logits = torch.full_like(guesses.logits, -9)
    logits[-1, :, :, 1] = 0.2
    logits[-1, :, :, 3] = torch.tensor([4.0, 4.0, 4.0, -20.0, -20.0])
    guesses = replace(guesses, logits=logits)
    best, every = head.best(guesses), head.every(guesses)
    for field in fields(best):
        chosen = getattr(every, field.name)[:, :, 3:4]
        torch.testing.assert_close(getattr(best, field.name), chosen, rtol=1e-4, atol=2e-5)


@torch.inference_mode()
def test_bfloat16_runs_and_is_close(head, one_clip):
    levels, words, padding, _ = one_clip.inputs
    exact = head.every(head(levels, words, padding))
    head.bfloat16()
    rough = head.every(head([level.bfloat16() for level in levels], words.bfloat16(), padding))
    assert rough.masks.dtype == torch.bfloat16
    assert rough.boxes.dtype == torch.float32
    assert (rough.boxes - exact.boxes).abs().max() < 0.02
    assert (rough.masks - exact.masks).abs().mean() < 0.03 * exact.masks.abs().mean()


@torch.inference_mode()
def test_a_batch_of_clips_is_its_clips(head, two_padded_clips):
    levels, words, padding, sizes = two_padded_clips.inputs
    both = head(levels, words, padding, sizes)
    for clip in range(2):
        frames, one = slice(2 * clip, 2 * clip + 2), slice(clip, clip + 1)
        alone = head([level[frames] for level in levels], words[one], padding[one], sizes[one])
        for answer in (head.best, head.every):
            batched, single = answer(both), answer(alone)
            for field in fields(single):
                batch_value = getattr(batched, field.name)[one]
                torch.testing.assert_close(getattr(single, field.name), batch_value, rtol=1e-4, atol=2e-5)


@torch.inference_mode()
def test_words_of_padding_change_nothing(head, one_clip):
    levels, words, padding, _ = one_clip.inputs
    expected = head.every(head(levels, words, padding))
    longer = torch.cat([words, torch.randn(1, 3, words.shape[-1])], dim=1)
    masked = torch.cat([padding, torch.ones(1, 3, dtype=torch.bool)], dim=1)
    assert_close(head.every(head(levels, longer, masked)), expected, rtol=1e-4, atol=2e-5)
    with pytest.raises(AssertionError):
        assert_close(head.every(head(levels, longer, torch.zeros_like(masked))), expected, rtol=1e-4, atol=2e-5)


@torch.inference_mode()
def test_a_picture_that_fills_its_frames_needs_no_size(head, one_clip):
    levels, words, padding, _ = one_clip.inputs
    assert_close(head.best(head(levels, words, padding, [(64, 96)])), head.best(head(levels, words, padding)))


def test_padding_at_every_stride():
    grids = padding_masks([(40, 64), (64, 17)], (64, 64), [(8, 8), (3, 3)], torch.device("cpu"))
    assert [(~mask).any(2).sum(1).tolist() for mask in grids] == [[5, 8], [2, 3]]
    assert [(~mask).any(1).sum(1).tolist() for mask in grids] == [[8, 3], [3, 1]]


@pytest.mark.parametrize(("height", "width"), [(368, 48), (40, 56), (16, 16)])
@torch.inference_mode()
def test_odd_sizes(height, width):
    found = Head(TINY).eval()
    answer = found.best(found(*tiny_inputs(2, height, width)))
    assert answer.masks.shape == (1, 2, 1, height, width)
    assert all(torch.isfinite(getattr(answer, field.name)).all() for field in fields(answer))


def test_dynamic_masks_equal_a_network_per_query():
    """Features first, then (x, y) from each cell's middle to the query's centre, in pixels at stride 8."""
    torch.manual_seed(0)
    features, parameters = torch.randn(2, 3, 4, 5), torch.randn(2, 6, parameter_count(3))
    centres = torch.rand(2, 6, 2) * 40
    found = dynamic_masks(features, parameters, centres)
    sizes = (5 * 16, 16 * 16, 16, 16)
    for frame, query, row, column in ((0, 0, 0, 0), (1, 5, 3, 4), (1, 2, 2, 1)):
        first, second, bias1, bias2 = parameters[frame, query].split(sizes)
        away = centres[frame, query] - torch.tensor([column * 8 + 4, row * 8 + 4])
        seen = torch.cat([features[frame, :, row, column], away])
        hidden = torch.relu(first.reshape(16, 5) @ seen + bias1)
        expected = second.reshape(16, 16) @ hidden + bias2
        torch.testing.assert_close(found[frame, query, :, row, column], expected, rtol=1e-4, atol=1e-4)


def test_dynamic_masks_in_bfloat16_are_not_off_by_pixels():
    """A network that says how far to the left of the centre a cell is, in a frame of 640 pixels."""
    first, second = torch.zeros(16, 5), torch.eye(16)
    first[:, 3] = 1
    parameters = torch.cat([first.flatten(), second.flatten(), torch.zeros(32)])[None, None].bfloat16()
    centres = torch.tensor([[[601.3, 4.0]]])
    found = dynamic_masks(torch.zeros(1, 3, 1, 80, dtype=torch.bfloat16), parameters, centres)[0, 0, 0, 0].float()
    expected = (601.3 - (torch.arange(80) * 8 + 4)).clamp(min=0)
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=0.05)


def test_untrained_heads_are_drawn_from_their_seed():
    state = torch.get_rng_state()
    one, same, other = (Head(TINY, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["queries.tokens"], other["queries.tokens"])


@torch.no_grad()
def test_an_untrained_head_says_no_and_starts_with_a_small_box():
    head = Head(TINY).eval()
    guesses = head(*tiny_inputs(2, 64, 64))
    width, height = guesses.boxes[..., 2:].unbind(-1)
    torch.testing.assert_close(width, torch.full_like(width, torch.tensor(-2.0).sigmoid().item()))
    torch.testing.assert_close(height, width)
    assert torch.sigmoid(guesses.logits).mean() < 0.1


def test_saved_and_loaded(tmp_path):
    head = Head(TINY, seed=3)
    save_head(head, tmp_path)
    again = load_head(tmp_path)
    assert again.config == TINY
    assert not again.training
    for name, tensor in head.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


def test_a_folder_without_a_head(tmp_path):
    with pytest.raises(ModelError, match=r"no head\.json in .*import-official"):
        load_head(tmp_path)
    save_head(Head(TINY), tmp_path)
    weights = (tmp_path / "head.safetensors").read_bytes()
    (tmp_path / "head.safetensors").write_bytes(weights[:1000])
    with pytest.raises(ModelError, match="damaged"):
        load_head(tmp_path)
    save_head(Head(replace(TINY, queries=4)), tmp_path)
    (tmp_path / "head.json").write_text((tmp_path / "head.json").read_text().replace('"queries": 4', '"queries": 3'))
    with pytest.raises(ModelError, match=r"not of the sizes in head\.json"):
        load_head(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"queries": 0}, r"queries \(=0\) must be at least 1"),
        ({"width": 48}, r"width \(=48\) must be a multiple of 32 and of heads \(=4\)"),
        ({"width": 32, "heads": 5}, r"of heads \(=5\)"),
        ({"dropout": 1.0}, r"dropout \(=1.0\) is a share"),
        ({"neck_widths": (0, 1, 1, 1)}, r"neck_widths \(=\(0, 1, 1, 1\)\) are channels"),
    ],
)
def test_sizes_that_cannot_be(change, words):
    with pytest.raises(ConfigError, match=words):
        replace(TINY, **change)


def test_inputs_that_do_not_fit():
    head = Head(TINY)
    levels, words, padding = tiny_inputs(3, 64, 64)
    with pytest.raises(ModelError, match=r"reads levels of \(5, 6, 7, 8\) channels, these have \(8, 7, 6, 5\)"):
        head(levels[::-1], words, padding)
    with pytest.raises(ModelError, match="reads words of width 10, these have 9"):
        head(levels, words[..., 1:], padding)
    with pytest.raises(ModelError, match="3 frames are not 2 clips of one length"):
        head(levels, words.repeat(2, 1, 1), padding.repeat(2, 1))
    with pytest.raises(ModelError, match="sizes are given for 2 of 1 clips"):
        head(levels, words, padding, [(64, 64)] * 2)
    with pytest.raises(ModelError, match="a picture of 65x64 pixels does not fit into frames of 64x64"):
        head(levels, words, padding, [(65, 64)])


def test_a_target_of_another_size(head, one_clip):
    target = one_clip.target
    with pytest.raises(ModelError, match="masks have 60x96 pixels, the frames 64x96"):
        head.matched(head(*one_clip.inputs), replace(target, masks=target.masks[..., :60, :]))
