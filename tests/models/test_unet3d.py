import pytest
import torch
from torch import nn

from vdprobe.errors import ConfigError
from vdprobe.models.diffusion.vae_taps import split_taps
from vdprobe.models.unet3d.load import load_unet
from vdprobe.models.unet3d.network import program, step_of
from vdprobe.models.unet3d.taps import VDIT_TAPS

UNET_TAPS = split_taps(VDIT_TAPS)[1]
T = torch.tensor(300)


def inputs(frames=3, height=8, width=12, conditions=1, tokens=7):
    torch.manual_seed(0)
    return torch.randn(1, 4, frames, height, width), torch.randn(conditions, frames, tokens, 64)


@pytest.fixture(scope="module")
def whole():
    from vdprobe.models.diffusion.pipeline import find_pipeline

    return load_unet(find_pipeline("random:tiny"), ["unet.out"], torch.float32, torch.device("cpu"))


@pytest.mark.parametrize(("height", "width"), [(8, 12), (9, 13), (6, 10)])
def test_runs_to_its_end_as_diffusers_does(whole, height, width):
    latents, tokens = inputs(height=height, width=width)
    tokens = tokens[:, :1].expand(-1, 3, -1, -1)
    expected = whole.unet(latents, T, tokens[:, 0]).sample
    assert torch.equal(whole(latents, T, tokens)["conv_out"][0].transpose(0, 1), expected[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_truncation_changes_no_bit_and_drops_the_rest(tiny, dtype):
    place = dtype, torch.device("cpu")
    latents, tokens = (x.to(dtype) for x in inputs(conditions=2))
    untruncated = load_unet(tiny, [*UNET_TAPS, "unet.out"], *place)
    expected = untruncated(latents, T, tokens)
    for tap in UNET_TAPS:
        alone = load_unet(tiny, [tap], *place)
        (value,) = alone(latents, T, tokens).values()
        assert torch.equal(value, expected[alone.taps[0]]), tap
        assert sum(p.numel() for p in alone.parameters()) < sum(p.numel() for p in untruncated.parameters())
    stem = load_unet(tiny, ["unet.in"], *place)
    assert not any("down_blocks" in name or "up_blocks" in name for name, _ in stem.named_parameters())


def test_each_frame_has_its_own_condition(tiny, place):
    tap = "down_blocks.0.attentions.0"  # before the first temporal layer that could spread a change
    unet = load_unet(tiny, [f"unet.{tap}"], *place)
    latents, tokens = inputs()
    other = tokens.clone()
    other[:, 1] += 1
    before, after = (unet(latents, T, t)[tap][0] for t in (tokens, other))
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.allclose(before[1], after[1], atol=1e-3)


def test_conditions_that_share_latents_are_as_each_alone(whole):
    latents, tokens = inputs(conditions=3)
    together = whole(latents, T, tokens)["conv_out"]
    for row in range(3):
        assert (whole(latents, T, tokens[row : row + 1])["conv_out"][0] - together[row]).abs().max() < 2e-5


def test_batches_of_clips_and_of_conditions(whole):
    latents, tokens = inputs(conditions=4)
    clips = torch.cat([latents, latents + 1])
    together = whole(clips, T, tokens)["conv_out"]
    apart = torch.cat([whole(clips[:1], T, tokens[:2])["conv_out"], whole(clips[1:], T, tokens[2:])["conv_out"]])
    assert (together - apart).abs().max() < 2e-5


def test_each_latents_may_have_its_own_timestep(whole):
    latents, tokens = inputs(conditions=4)
    clips, times = torch.cat([latents, latents + 1]), torch.tensor([10, 900])
    together = whole(clips, times, tokens)["conv_out"]
    apart = [whole(clips[i : i + 1], times[i], tokens[2 * i : 2 * i + 2])["conv_out"] for i in (0, 1)]
    assert (together - torch.cat(apart)).abs().max() < 2e-5
    assert (apart[1] - whole(clips[1:], times[0], tokens[2:])["conv_out"]).abs().max() > 1e-3


def test_the_stem_runs_once_for_all_conditions(tiny, place):
    unet = load_unet(tiny, ["unet.down.0"], *place)
    rows = []
    unet.unet.conv_in.register_forward_hook(lambda _m, args, _o: rows.append(len(args[0])))
    unet.unet.down_blocks[0].attentions[0].register_forward_hook(lambda _m, args, _o: rows.append(len(args[0])))
    latents, tokens = inputs(conditions=4)
    unet(latents, T, tokens)
    assert rows == [3, 12]  # frames, then frames x conditions


def test_one_frame_skips_the_temporal_layers_but_the_first_of_the_mid_block(whole, tiny, place):
    class Through(nn.Module):
        def forward(self, x, *_, return_dict=True, **__):
            return (x,) if not return_dict else x

    stripped = load_unet(tiny, ["unet.out"], *place)
    for step in stripped.steps:
        if step.op == "temp_attn" or (step.op == "temp_conv" and step.path != "mid_block.temp_convs.0"):
            stripped.unet.set_submodule(step.path, Through())
    latents, tokens = inputs(frames=1)
    expected = stripped.unet(latents, T, tokens[:, 0]).sample
    assert torch.equal(whole(latents, T, tokens)["conv_out"][0].transpose(0, 1), expected[0])
    full = whole.unet(latents, T, tokens[:, 0]).sample
    assert not torch.allclose(full, expected, atol=1e-3)  # the layers that are skipped would matter


def test_one_frame_whose_deepest_level_is_one_place(whole):
    """The group norms there see one value a group, which torch refuses unless there are other rows."""
    latents, tokens = inputs(frames=1, height=4, width=4, conditions=2)
    both = whole(latents, T, tokens)["conv_out"]
    alone = [whole(latents, T, tokens[k : k + 1])["conv_out"][0] for k in (0, 1)]
    # groups of one value, and of two that lie close to each other, make much of the rounding before them
    assert (torch.stack(alone) - both).abs().max() < 1e-3
    norm = whole.unet.down_blocks[2].resnets[0].norm1
    values = torch.randn(2, norm.num_channels, 1, 1)
    assert torch.equal(norm(values[:1]), nn.GroupNorm.forward(norm, values)[:1])
    assert (norm(values[:1]).flatten() - norm.bias).abs().max() < 1e-3


INNER = {
    "down_blocks.0.attentions.0.transformer_blocks.0.attn2": (32, 8, 12),  # tokens of a spatial transformer
    "down_blocks.0.temp_attentions.1.transformer_blocks.0": (32, 8, 12),  # sequences over time
    "down_blocks.1.temp_convs.0.conv1": (32, 4, 6),  # five dimensions
    "up_blocks.1.resnets.2.conv1": (64, 2, 3),
    "mid_block.attentions.0": (64, 1, 2),
}


@pytest.mark.parametrize("tap", INNER)
def test_any_module_path_is_a_tap(tiny, place, tap):
    unet = load_unet(tiny, [f"unet.{tap}"], *place)
    latents, tokens = inputs(conditions=2)
    value = unet(latents, T, tokens)[tap]
    assert value.shape == (2, 3, *INNER[tap])
    assert unet.steps[-1].path == tap or tap.startswith(unet.steps[-1].path + ".")


def test_temporal_layouts_are_read_by_place_and_frame(tiny, place):
    """proj_out of a temporal transformer is its output less its input, whatever the layout inside."""
    module = "down_blocks.0.temp_attentions.0"
    unet = load_unet(tiny, [f"unet.{module}.proj_out", f"unet.{module}", "unet.down_blocks.0.attentions.0"], *place)
    latents, tokens = inputs(height=3, width=3)  # as many places as frames x frames: nothing to tell them apart by
    out = unet(latents, T, tokens)
    residual = out[module] - out["down_blocks.0.attentions.0"]
    assert (out[f"{module}.proj_out"] - residual).abs().max() < 1e-5


def test_errors_teach(tiny, place):
    with pytest.raises(ConfigError, match=r"unknown tap 'unet\.down_blocks\.7': did you mean 'down_blocks"):
        load_unet(tiny, ["unet.down.7"], *place)
    with pytest.raises(ConfigError, match="no feature map of its own"):
        load_unet(tiny, ["unet.time_embedding"], *place)
    keys = load_unet(tiny, ["unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"], *place)
    with pytest.raises(ConfigError, match=r"yields shape .* no map over 3 frames and 8x12 places"):
        keys(inputs()[0], T, inputs()[1])
    inside = load_unet(tiny, ["unet.transformer_in.proj_out"], *place)
    with pytest.raises(ConfigError, match="which a clip of one frame skips"):
        inside(*(inputs(frames=1)[0], T, inputs(frames=1)[1]))


def test_a_tap_belongs_to_one_step(whole):
    steps = program(whole.unet)
    assert steps[step_of("up_blocks.2", steps)].closes == "up_blocks.2"
    assert steps[step_of("up_blocks.2.resnets.1.conv1", steps)].path == "up_blocks.2.resnets.1"


@pytest.mark.slow
def test_compiled_steps_give_the_same(tiny, place):
    unet = load_unet(tiny, ["unet.in"], *place)
    latents, tokens = inputs()
    expected = unet(latents, T, tokens)["transformer_in"]
    unet.compile(backend="aot_eager")
    assert torch.allclose(unet(latents, T, tokens)["transformer_in"], expected, atol=1e-5)
