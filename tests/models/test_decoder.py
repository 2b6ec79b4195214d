import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from vdprobe.errors import FeatureError
from vdprobe.models.diffusion.decoder import VideoDecoder
from vdprobe.models.diffusion.frame_vae import VideoEncoder, load_vae
from vdprobe.models.diffusion.pipeline import find_pipeline
from vdprobe.models.unet3d.architectures import TINY


@torch.inference_mode()
def test_equals_diffusers(tiny, place):
    latents = torch.randn(4, 3, 4, 6, generator=torch.Generator().manual_seed(0)) * 0.18215 * 30
    whole = load_vae(tiny, *place).decode(latents.transpose(0, 1) / 0.18215).sample
    expected = ((whole / 2 + 0.5).clamp(0, 1) * 255).permute(0, 2, 3, 1).numpy()
    ours = VideoDecoder.load(tiny, *place)(latents)
    assert ours.shape == (3, 32, 48, 3)
    assert ours.dtype == torch.uint8
    assert np.abs(ours.numpy() - expected).max() < 0.51  # rounded, not cut
    assert expected.std() > 10
    assert (expected.min(), expected.max()) == (0, 255)  # beyond the ends too


@torch.inference_mode()
def test_without_the_convolution_before(place):
    config = {**TINY["vae"], "use_post_quant_conv": False, "use_quant_conv": False}
    torch.manual_seed(0)
    vae = AutoencoderKL.from_config(config).eval()
    latents = torch.randn(4, 2, 2, 2)
    whole = vae.decode(latents.transpose(0, 1) / 0.18215).sample
    ours = VideoDecoder(vae)(latents).permute(0, 3, 1, 2)
    assert ((whole / 2 + 0.5).clamp(0, 1) * 255 - ours).abs().max() < 0.51


@torch.inference_mode()
def test_each_keeps_its_half_of_the_vae(tiny, place):
    decoder, encoder = VideoDecoder.load(tiny, *place), VideoEncoder.load(tiny, [], *place)
    assert not hasattr(decoder.vae, "encoder")
    assert not hasattr(encoder.vae, "decoder")


def test_a_vae_that_asks_for_float32_has_it(monkeypatch):
    pipeline = find_pipeline("random:tiny")
    assert VideoDecoder.load(pipeline, torch.float16, torch.device("cpu")).vae.dtype == torch.float16
    monkeypatch.setitem(TINY["vae"], "force_upcast", True)
    assert VideoDecoder.load(pipeline, torch.float16, torch.device("cpu")).vae.dtype == torch.float32


@torch.inference_mode()
def test_values_that_are_not_finite(tiny, place):
    latents = torch.zeros(4, 2, 2, 2)
    latents[0, 1, 0, 0] = torch.nan
    with pytest.raises(FeatureError, match="not finite, in float32; compute in float32"):
        VideoDecoder.load(tiny, *place)(latents)
