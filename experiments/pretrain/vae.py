"""The VAE: 128x128 frames to 16x16 latents of 4 channels, and back.

    python experiments/pretrain/vae.py --out runs/tiny-t2v

Single frames of fresh scenes, each seen once. Squared error with a little absolute error (edges)
and a small KL term that keeps the latents smooth and near unit size.
"""

from functools import partial

import numpy as np
import torch
from diffusers import AutoencoderKL
from loop import Schedule, read_options, train
from torch import Tensor

from vdprobe.data.moving_shapes.render import render
from vdprobe.data.moving_shapes.splits import split_scene

CONFIG = {
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": [32, 48, 96, 96],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 16,
    "sample_size": 128,
}
STEPS = 4000
BATCH = 8
RATE = 1.5e-3
KL = 1e-4
FIRST_SCENE = 10_000_000
"""Scenes of the train split from here on are the VAE's; the other parts have their own."""


def frame_batch(split: str, start: int, count: int) -> Tensor:
    """One frame of each of `count` scenes, (count, 3, 128, 128) in [-1, 1]."""
    pictures = []
    for index in range(start, start + count):
        scene = split_scene(split, index)
        pictures.append(render(scene, only=[index % scene.frames]).frames[0])
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def psnr(vae: AutoencoderKL, split: str = "val", count: int = 200) -> np.ndarray:
    """Peak signal-to-noise ratio in dB of each frame, from the posterior's mean."""
    out = []
    for start in range(0, count, 8):
        pixels = frame_batch(split, start, min(8, count - start))
        again = vae.decode(vae.encode(pixels).latent_dist.mode()).sample.clamp(-1, 1)
        error = ((again - pixels) / 2).square().mean(dim=(1, 2, 3))
        out.append((-10 * torch.log10(error)).numpy())
    return np.concatenate(out)


def batch(step: int, size: int) -> Tensor:
    """The frames of a training step."""
    return frame_batch("train", FIRST_SCENE + step * size, size)


def main() -> None:
    options = read_options(__doc__, steps=STEPS, batch=BATCH)
    torch.manual_seed(0)
    vae = AutoencoderKL(**CONFIG).to(options.device)

    def loss(pixels: Tensor) -> dict[str, Tensor]:
        pixels = pixels.to(options.device)
        with torch.autocast(options.device, torch.bfloat16):
            posterior = vae.encode(pixels).latent_dist
            again = vae.decode(posterior.sample()).sample
        error = again.float() - pixels
        kl = posterior.kl().float().mean() / posterior.mean[0].numel()
        squared, absolute = error.square().mean(), error.abs().mean()
        return {"total": squared + 0.05 * absolute + KL * kl, "squared": squared, "kl": kl}

    def validate() -> dict[str, float]:
        return {"val_psnr": float(psnr(vae, count=64).mean())}

    train(
        options.out / "vae",
        vae,
        partial(batch, size=options.batch),
        loss,
        Schedule(options.steps, RATE),
        validate=validate,
    )


if __name__ == "__main__":
    main()
