"""The model that ships: whole, small enough, and really trained."""

import math

import pytest
import torch
from safetensors import safe_open

from vdprobe.data.moving_shapes import make_video
from vdprobe.models.diffusion.decoder import VideoDecoder
from vdprobe.models.diffusion.frame_vae import VideoEncoder
from vdprobe.models.diffusion.pipeline import find_pipeline

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def bundled():
    return find_pipeline("tiny-t2v")


def test_it_is_small_and_in_half_precision(bundled):
    root = bundled.folders["unet"].parent
    files = [path for path in root.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 40_000_000
    weights = [path for path in files if path.suffix == ".safetensors"]
    assert len(weights) == 4 + 6
    for path in weights:
        with safe_open(path, "pt") as tensors:
            kinds = {tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118
        assert kinds == {"F16"}, path
    assert "No claim about" in (root / "README.md").read_text(encoding="utf-8")


def test_its_vae_gives_frames_back(bundled):
    """28 dB on frames that nothing was trained on (30 in the mean over the test split, its card says)."""
    pixels = torch.from_numpy(make_video("test", 3).rendering.frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    encoder, decoder = (
        VideoEncoder.load(bundled, (), torch.float32, CPU),
        VideoDecoder.load(bundled, torch.float32, CPU),
    )
    with torch.inference_mode():
        mean = encoder(pixels, posterior=True).mean
        again = decoder(mean.transpose(0, 1) * encoder.vae.config.scaling_factor).float() / 127.5 - 1
    error = ((again.permute(0, 3, 1, 2) - pixels) / 2).square().mean().item()
    assert -10 * math.log10(error) > 28
