"""Every recorded stage of the official VD-IT code, within 1e-4."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vdprobe.models.diffusion.adapter import load_adapter
from vdprobe.models.diffusion.backbone import Backbone
from vdprobe.models.diffusion.conditions import make_condition
from vdprobe.models.diffusion.forms import resolve_condition
from vdprobe.models.diffusion.noise import add_noise, make_noise
from vdprobe.models.diffusion.pipeline import find_pipeline
from vdprobe.models.unet3d.levels import merge_levels
from vdprobe.models.unet3d.taps import VDIT_TAPS
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import Noise

FOLDER = Path(__file__).parents[1] / "fixtures" / "vdit_extractor"
BAR = 1e-4


@pytest.fixture(scope="module")
def official():
    return load_file(FOLDER / "fixture.safetensors")


@pytest.fixture(scope="module")
def ours(official):
    """All our stages, from the official latents on."""
    from vdprobe.models.diffusion.clip_image import ImageEncoder
    from vdprobe.models.diffusion.clip_text import TextEncoder, byte_tokenizer, clip_text_model

    adapter = load_adapter(FOLDER / "adapter.safetensors", heads=4)
    condition = resolve_condition("vd-it", adapter.fingerprints())
    pipeline = find_pipeline(str(FOLDER))
    taps = (*VDIT_TAPS, "vae.encoder.down_blocks.1.resnets.0", "unet.out")
    backbone = Backbone.load(pipeline, taps=taps, adapters=[adapter], device="cpu")
    place = torch.float32, torch.device("cpu")
    # The fixture has token ids and no tokenizer.
    text = TextEncoder(byte_tokenizer(), clip_text_model(pipeline, *place)).from_ids(official["token_ids"])
    image = ImageEncoder.load(pipeline, *place).from_ready(official["clip_pixel_values"])
    with torch.inference_mode():
        tokens = make_condition(condition, 5, text, image, adapter)
        latents = official["latents"][0]
        noise = make_noise(Noise(kind="predicted", adapter="x"), latents, Clip("clip", tuple(range(5))), adapter)
        level = backbone.process.level(0)
        noisy = add_noise(latents, noise, level)
        features = backbone.features(noisy, level, tokens[None])
        out = {name: value[0] for name, value in features.items()}
        encoded = backbone.video(official["pixel_values"][0], posterior=True)
    out |= encoded.taps
    out |= {f"level.{i}": level for i, level in enumerate(merge_levels(out))}
    out["vae.down.1"] = out.pop("vae.encoder.down_blocks.1.resnets.0")  # the official hook is on the first resnet
    out["model_pred"] = out.pop("unet.out").transpose(0, 1)[None]
    return out | {"prompt_tokens_per_frame": tokens, "noisy_latents": noisy[None]}


@pytest.mark.parametrize(
    "stage",
    [
        "prompt_tokens_per_frame",
        "noisy_latents",
        *VDIT_TAPS,
        "vae.down.1",
        "level.0",
        "level.1",
        "level.2",
        "level.3",
        "model_pred",
    ],
)
def test_stage_equals_the_official_code(stage, official, ours):
    assert ours[stage].shape == official[stage].shape
    assert (ours[stage] - official[stage]).abs().max() <= BAR


def test_predicted_noise_is_what_the_official_noisy_latents_hold(official):
    adapter = load_adapter(FOLDER / "adapter.safetensors", heads=4)
    level = find_pipeline(str(FOLDER)).process().level(0)
    signal, amount = level.signal, level.amount
    expected = (official["noisy_latents"][0] - signal * official["latents"][0]) / amount
    # Divided by 0.029, the rounding of the recorded sum is 34 times larger.
    assert (adapter.noise_predictor(official["latents"][0]) - expected).abs().max() <= BAR
