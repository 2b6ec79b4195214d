"""Equal to diffusers' scheduler around diffusers' UNet; noise that belongs to its prompt."""

import pytest
import torch
from diffusers import DDIMScheduler

from vdprobe.errors import ConfigError, ModelError
from vdprobe.models.diffusion.noise import gaussian
from vdprobe.models.diffusion.sampling import DDIM, initial_noise, sample_latents
from vdprobe.models.unet3d.load import load_unet

FRAMES, SIDE = 2, 16  # with a side of 8 the bottleneck's group norms see two numbers, and blow rounding up
GUIDANCE = 2.5
BASE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "clip_sample": False,
}
MODELSCOPE = {**BASE, "set_alpha_to_one": False, "steps_offset": 1}


@pytest.fixture(scope="module")
def unet(tiny):
    return load_unet(tiny, ["unet.out"], torch.float32, torch.device("cpu"))


@pytest.fixture
def inputs():
    """Noise of two prompts, their tokens, and those of the empty text."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.stack(
        [initial_noise(p, 0, channels=4, frames=FRAMES, height=SIDE, width=SIDE) for p in ("a dog", "a cat")]
    )
    return noise, torch.randn(2, 77, 64, generator=generator), torch.randn(77, 64, generator=generator)


@torch.inference_mode()
def by_diffusers(unet, config, noise, text, empty, steps, guidance):
    """The loop as diffusers' text-to-video pipeline writes it."""
    scheduler = DDIMScheduler.from_config(config)
    scheduler.set_timesteps(steps)
    x = noise
    for t in scheduler.timesteps:
        tokens = torch.cat([empty.expand_as(text), text])
        low, high = unet.unet(torch.cat([x, x]), t, encoder_hidden_states=tokens).sample.chunk(2)
        output = low + guidance * (high - low)
        x = scheduler.step(output, t, x).prev_sample
    return x


@pytest.mark.parametrize(
    "config",
    [
        MODELSCOPE,
        {**BASE, "prediction_type": "v_prediction"},
        {**BASE, "timestep_spacing": "trailing"},
        {**BASE, "timestep_spacing": "linspace", "set_alpha_to_one": False},
    ],
    ids=["modelscope", "v_prediction", "trailing", "linspace"],
)
def test_equals_diffusers(unet, inputs, config):
    expected = by_diffusers(unet, config, *inputs, 4, GUIDANCE)
    with torch.inference_mode():
        ours = sample_latents(unet, DDIM.from_config(config), *inputs, steps=4, guidance=GUIDANCE)
    # diffusers keeps abar in float32: values of several times unit size differ by as much more.
    assert (ours - expected).abs().max() <= 1e-5 * max(1, expected.std())
    assert expected.std() > 0.1


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("steps", [1, 3, 30, 50, 999])
def test_timesteps_are_those_of_diffusers(spacing, steps):
    config = {**MODELSCOPE, "timestep_spacing": spacing}
    scheduler = DDIMScheduler.from_config(config)
    scheduler.set_timesteps(steps)
    assert [step.t for step in DDIM.from_config(config).steps(steps)] == scheduler.timesteps.tolist()


def test_what_ends_the_schedule():
    assert DDIM.from_config(BASE).steps(50)[-1].after == 1
    ddim = DDIM.from_config(MODELSCOPE)
    assert ddim.steps(50)[-1].after == ddim.schedule.alphas_cumprod[0] < 1


def test_guidance_of_one_runs_no_second_half(unet, inputs, monkeypatch):
    rows = []
    forward = type(unet).forward
    monkeypatch.setattr(
        type(unet), "forward", lambda self, x, t, tokens: rows.append(len(tokens)) or forward(self, x, t, tokens)
    )
    noise, text, empty = inputs
    ddim = DDIM.from_config(BASE)
    ticks = []
    with torch.inference_mode():
        one = sample_latents(
            unet, ddim, noise, text, empty, steps=2, guidance=1.0, on_step=lambda: ticks.append(len(rows))
        )
        same = sample_latents(unet, ddim, noise, text, -empty, steps=2, guidance=1.0)
        nearly = sample_latents(unet, ddim, noise, text, empty, steps=2, guidance=1.0 + 1e-6)
    assert rows == [2, 2, 2, 2, 4, 4]
    assert ticks == [1, 2]
    assert torch.equal(one, same)
    assert torch.allclose(one, nearly, atol=1e-4)


def test_prompts_do_not_mix(unet, inputs):
    noise, text, empty = inputs
    ddim = DDIM.from_config(BASE)
    with torch.inference_mode():
        both = sample_latents(unet, ddim, noise, text, empty, steps=2, guidance=3.0)
        second = sample_latents(unet, ddim, noise[1:], text[1:], empty, steps=2, guidance=3.0)
    assert torch.allclose(both[1:], second, atol=1e-4)
    assert not torch.allclose(both[:1], second, atol=0.1)


def test_noise_belongs_to_seed_prompt_and_frame():
    draw = initial_noise("a dog", 0, channels=4, frames=3, height=2, width=5)
    assert draw.shape == (4, 3, 2, 5)
    assert torch.equal(draw[:, :2], initial_noise("a dog", 0, channels=4, frames=2, height=2, width=5))
    for prompt, seed in (("a cat", 0), ("a dog", 1)):
        assert not torch.equal(draw, initial_noise(prompt, seed, channels=4, frames=3, height=2, width=5))
    assert not torch.equal(draw[:, 0], draw[:, 1])
    # A video of that name has noise of its own.
    assert not torch.equal(draw[:, 0], gaussian("noise", 0, "a dog", 0, (4, 2, 5)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prediction_type": "sample"}, "prediction_type 'sample'; supported .* epsilon or v_prediction"),
        ({"timestep_spacing": "karras"}, "timestep_spacing 'karras'; valid: leading, trailing, linspace"),
        ({"steps_offset": "1"}, "steps_offset '1', which must be a whole number"),
        ({"clip_sample": True}, "clip_sample on, which is for pixels"),
        ({"thresholding": True}, "thresholding on, which is for pixels"),
    ],
)
def test_a_scheduler_that_is_not_sampled(changes, message):
    with pytest.raises(ModelError, match=message):
        DDIM.from_config({**BASE, **changes})


@pytest.mark.parametrize("steps", [0, 1001])
def test_steps_that_do_not_fit(steps):
    with pytest.raises(ConfigError, match=rf"steps \(={steps}\) must be from 1 to the model's 1000"):
        DDIM.from_config(BASE).steps(steps)


def test_an_offset_that_leads_out_of_the_schedule():
    with pytest.raises(ConfigError, match=r"steps_offset 1 begin at t=1000, beyond its last t=999; take fewer"):
        DDIM.from_config(MODELSCOPE).steps(1000)
