import pytest
import torch

from vdprobe.models.diffusion.clip_text import TextEncoder
from vdprobe.models.diffusion.pipeline import find_pipeline
from vdprobe.training.small_head import SmallHead, level_widths, pooled_text


@pytest.mark.parametrize("name", ["tiny", "modelscope"])
def test_a_mask_for_each_frame_from_under_a_million_parameters(name):
    pipeline = find_pipeline(f"random:{name}")
    widths = level_widths(pipeline)
    if name == "modelscope":
        assert widths == (512, 960, 1600, 1920)  # VD-IT's
    text_width = pipeline.config("text_encoder")["hidden_size"]
    head = SmallHead(widths, text_width)
    assert sum(p.numel() for p in head.parameters()) < 1_000_000
    # 80 x 112 pixels: a level of 10 rows does not halve evenly twice
    sizes = ((20, 28), (10, 14), (5, 7), (3, 4))
    levels = [torch.randn(3, width, *size) for width, size in zip(widths, sizes, strict=True)]
    logits = head(levels, torch.randn(text_width))
    assert logits.shape == (3, 20, 28)
    assert (logits - head(levels, torch.randn(text_width))).abs().max() > 1e-3  # the text is heard
    for i in range(4):  # every level too
        other = [level + (k == i) * torch.randn_like(level) for k, level in enumerate(levels)]
        text = torch.ones(text_width)
        assert (head(other, text) - head(levels, text)).abs().max() > 1e-3


def test_the_seed_draws_it_and_the_generator_is_left_alone():
    before = torch.get_rng_state()
    first, same, other = (SmallHead((8, 8, 8, 8), 8, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first.out.weight, same.out.weight)
    assert not torch.equal(first.out.weight, other.out.weight)


@pytest.mark.parametrize("text", ["a red circle", "word " * 30])
def test_the_pooled_text_is_the_end_of_text(text):
    encoder = TextEncoder.load(find_pipeline("random:tiny"), torch.float32, torch.device("cpu"))
    ids = encoder.tokenizer(text, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    end = int((ids[0] == encoder.tokenizer.eos_token_id).nonzero()[0])  # the padding is of the same token
    tokens = encoder(text)
    assert torch.equal(pooled_text(tokens), tokens.hidden[end])
