import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vdprobe.models.diffusion.adapter import make_adapter
from vdprobe.models.diffusion.noise import add_noise, gaussian, gaussian_clip, make_noise
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import Noise
from vdprobe.specs.noise_level import NoiseLevel

SHAPE = (4, 2, 3)
KNOWN = [0.9375933408737183, -1.410897135734558, -1.0496646165847778, 1.034890055656433]


def test_known_values():
    """Stores hold features of exactly these draws: they must never change."""
    draw = gaussian("noise", 0, "dog", 3, (4,))
    assert draw.dtype == torch.float32
    assert draw.tolist() == KNOWN


@settings(max_examples=30, deadline=None)
@given(frames=st.lists(st.integers(0, 50), min_size=1, max_size=6), seed=st.integers(0, 9), video=st.text(max_size=5))
def test_a_frame_has_its_noise_in_any_clip_and_order(frames, seed, video):
    clip = gaussian_clip("noise", seed, video, frames, SHAPE)
    for column, frame in enumerate(frames):
        assert torch.equal(clip[:, column], gaussian("noise", seed, video, frame, SHAPE))


def test_every_argument_matters():
    draws = [
        gaussian("noise", 0, "dog", 0, SHAPE),
        gaussian("posterior", 0, "dog", 0, SHAPE),
        gaussian("noise", 1, "dog", 0, SHAPE),
        gaussian("noise", 0, "cat", 0, SHAPE),
        gaussian("noise", 0, "dog", 1, SHAPE),
        gaussian("noise", 0, "dog", None, SHAPE),
    ]
    assert len({tuple(draw.flatten().tolist()) for draw in draws}) == len(draws)


def test_is_standard_normal_and_uncorrelated_between_frames():
    clip = gaussian_clip("noise", 0, "dog", range(8), (4, 32, 32)).numpy()
    assert abs(clip.mean()) < 0.02
    assert abs(clip.std() - 1) < 0.02
    correlation = np.corrcoef(clip.transpose(1, 0, 2, 3).reshape(8, -1))
    assert np.abs(correlation - np.eye(8)).max() < 0.07


def test_kinds():
    latents = torch.randn(4, 5, 2, 3)
    assert make_noise(Noise(kind="none"), latents, Clip("dog", tuple(range(5))), None) is None
    shared = make_noise(Noise(kind="frame-shared", seed=0), latents, Clip("dog", tuple(range(5))), None)
    assert all(torch.equal(shared[:, 0], shared[:, f]) for f in range(5))
    own = make_noise(Noise(kind="gaussian", seed=0), latents, Clip("dog", tuple(range(5))), None)
    assert not torch.equal(own[:, 0], own[:, 1])
    adapter = make_adapter(width=64, image_width=80, latent_channels=4)
    predicted = make_noise(Noise(kind="predicted", adapter="x"), latents, Clip("dog", tuple(range(5))), adapter)
    assert predicted.shape == latents.shape
    assert predicted.mean().abs() < 1e-5
    assert predicted.std().item() == pytest.approx(1, abs=1e-3)


def test_without_noise_the_latents_stay_clean():
    latents = torch.randn(4, 1, 2, 3)
    level = NoiseLevel(timestep=0, signal=0.5, amount=2.0, told=0)
    assert torch.equal(add_noise(latents, None, level), latents)
    assert torch.allclose(
        add_noise(latents, torch.ones_like(latents), level),
        0.5 * latents + 2,
    )
