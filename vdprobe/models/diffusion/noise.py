"""Gaussian draws that depend on (seed, video, frame) alone, and the noise types.

A frame's noise is drawn from a counter-based generator keyed by a hash of what it is for: it is the
same in any clip, batch, order, worker or device, and the same at every timestep of a grid, so that
timesteps and conditions are compared under equal noise.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vdprobe.models.diffusion.adapter import Adapter
from vdprobe.specs.clip import Clip
from vdprobe.specs.draws import draw_digest
from vdprobe.specs.features import Noise
from vdprobe.specs.noise_level import NoiseLevel


def gaussian(purpose: str, seed: int, video: str, frame: int | None, shape: Sequence[int]) -> Float[Tensor, "..."]:
    """Standard normal float32 values on the CPU.

    - `purpose`: keeps draws for different ends apart (`noise`, `posterior`).
    - `frame`: index in the video; None for a draw that belongs to no single frame.
    """
    digest = draw_digest(purpose, seed, video, "shared" if frame is None else frame)
    key = int.from_bytes(digest[:16], "little")
    draws = np.random.Generator(np.random.Philox(key=key)).standard_normal(tuple(shape), dtype=np.float32)
    return torch.from_numpy(draws)


def gaussian_clip(
    purpose: str, seed: int, video: str, frames: Sequence[int], shape: tuple[int, int, int]
) -> Float[Tensor, "C F H W"]:
    """One draw for each frame of a clip; `shape` is (channels, height, width)."""
    return torch.stack([gaussian(purpose, seed, video, frame, shape) for frame in frames], dim=1)


def make_noise(
    noise: Noise,
    latents: Float[Tensor, "C F H W"],
    clip: Clip,
    adapter: Adapter | None,
) -> Float[Tensor, "C F H W"] | None:
    """The noise of one clip, in the dtype and on the device of `latents`; None for the kind `none`."""
    channels, count, height, width = latents.shape
    if noise.kind == "none":
        return None
    if noise.kind == "predicted":
        assert adapter is not None and adapter.noise_predictor is not None
        return adapter.noise_predictor(latents.float()).to(latents.dtype)
    assert noise.seed is not None
    if noise.kind == "frame-shared":
        draw = gaussian("noise", noise.seed, clip.video, None, (channels, height, width))[:, None].expand(
            -1, count, -1, -1
        )
    else:
        draw = gaussian_clip("noise", noise.seed, clip.video, clip.frames, (channels, height, width))
    return draw.to(latents.device, latents.dtype)


def add_noise(
    latents: Float[Tensor, "C F H W"], noise: Float[Tensor, "C F H W"] | None, level: NoiseLevel
) -> Float[Tensor, "C F H W"]:
    """signal * latents + amount * noise of a level (DDPM's add_noise, a flow's straight path).

    Without noise the latents stay clean, not scaled by `signal`: the level then only tells the network how much noise
    to expect (HCD feeds clean latents at t = 0 in this way).
    """
    return latents if noise is None else level.signal * latents + level.amount * noise
