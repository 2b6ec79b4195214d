"""The UNet: noise prediction on clips of 8 frames, with the frozen text encoder's tokens.

    python experiments/pretrain/unet.py --out runs/tiny-t2v

ModelScopeT2V's architecture, betas and 1000 steps. Clips and single frames by turns, as T2V models are
trained on videos and pictures; a tenth of the texts is empty, for guidance.
"""

from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from clip import Clip
from diffusers import DDPMScheduler, UNet3DConditionModel
from latents import load_moments
from loop import Schedule, load_trained, read_options, train
from tokenizer import LENGTH, make_tokenizer
from torch import Tensor, nn

from vdprobe.data.moving_shapes import make_video
from vdprobe.data.moving_shapes.language import caption
from vdprobe.data.moving_shapes.sample import Draws
from vdprobe.data.moving_shapes.splits import split_scene
from vdprobe.models.unet3d.architectures import MODELSCOPE
from vdprobe.models.unet3d.network import TappedUNet3D

CONFIG = {
    "sample_size": 16,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [64, 96, 128, 128],
    "down_block_types": ["CrossAttnDownBlock3D"] * 3 + ["DownBlock3D"],
    "up_block_types": ["UpBlock3D"] + ["CrossAttnUpBlock3D"] * 3,
    "layers_per_block": 1,
    "cross_attention_dim": 128,
    "attention_head_dim": 32,
    "norm_num_groups": 16,
}
SCHEDULER = MODELSCOPE["scheduler"]
STEPS = 8000
BATCH = 4
RATE, TAIL = 8e-4, 0.2
GAMMA = 5.0
"""Timesteps of a signal-to-noise ratio above this weigh less (min-SNR, Hang et al. 2023): their noise is hard to see
whatever the clip shows, and what is learnt of shapes and words is learnt at the others."""
EMPTY = 0.1
ALL = -1
"""In place of a frame's number: the whole clip."""


def clip_text(index: int, draws: Draws) -> str:
    """A text for a clip: what happens, what is there, or what one object is called; now and then nothing."""
    u = draws.number()
    if u < EMPTY:
        return ""
    scene = split_scene("train", index)
    if u < 0.65:
        return caption(scene, draws)
    if u < 0.75:
        return caption(scene, draws, motion=False)
    texts = [r.text for r in make_video("train", index).referrals]
    return draws.pick(texts) if texts else caption(scene, draws)


def frame_text(index: int, frame: int, draws: Draws) -> str:
    """A text for one frame: the objects that are in it; now and then nothing."""
    scene = split_scene("train", index)
    inside = ((scene.centres()[:, frame] > 0) & (scene.centres()[:, frame] < 1)).all(axis=1)
    shown = [int(k) for k in np.flatnonzero(inside)]
    return caption(scene, draws, objects=shown, motion=False) if shown and not draws.chance(EMPTY) else ""


def batch(step: int, size: int, clips: int) -> tuple[list[int], list[int], list[str]]:
    """Clips, frames and texts of a training step: whole clips and single frames by turns.

    A step of frames has eight frames for each clip that a step of clips has, so it shows eight times
    as many texts. Every clip comes once before any comes twice, and so do the clips of the frames.
    """
    moving = step % 2 == 0
    count = size if moving else 8 * size
    indices, frames, texts = [], [], []
    for k in range(step // 2 * count, (step // 2 + 1) * count):
        index = int(_order(2 * (k // clips) + moving, clips)[k % clips])
        draws = Draws(7, k, int(moving))
        indices.append(index)
        frames.append(ALL if moving else int(draws.number() * 8))
        texts.append(clip_text(index, draws) if moving else frame_text(index, frames[-1], draws))
    return indices, frames, texts


@lru_cache(maxsize=2)
def _order(pass_: int, clips: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(pass_)).permutation(clips)


class Data:
    """Scaled latents and text tokens; `scale` makes the latents of the train split unit size."""

    def __init__(self, out: Path, device: str = "cpu") -> None:
        self.moments = {split: torch.from_numpy(load_moments(out, split)) for split in ("train", "val")}
        self.scale = 1 / float(self.moments["train"][:2000, :, :4].float().std())
        self.device = device
        self.clip = Clip(make_tokenizer())
        load_trained(out / "clip", self.clip)
        self.clip.to(device)
        self.noise = DDPMScheduler.from_config(SCHEDULER)

    def latents(self, split: str, indices: list[int]) -> Tensor:
        """(B, 4, F, 16, 16), drawn from the posterior."""
        mean, logvar = self.moments[split][indices].to(self.device).float().chunk(2, dim=2)
        drawn = mean + torch.randn_like(mean) * (0.5 * logvar.clamp(-30, 20)).exp()
        return drawn.transpose(1, 2) * self.scale

    def weights(self, t: Tensor) -> Tensor:
        """Of the loss at each timestep."""
        share = self.noise.alphas_cumprod.to(self.device)[t]
        return (GAMMA * (1 - share) / share).clamp(max=1)

    def tokens(self, texts: list[str]) -> Tensor:
        """(B, 77, D): final hidden states, padded as pipelines do."""
        ids = self.clip.tokenizer(
            texts, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
        ).input_ids
        with torch.no_grad():
            return self.clip.text(ids.to(self.device)).last_hidden_state


def clip_losses(unet: TappedUNet3D, data: Data, latents: Tensor, tokens: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """Mean squared error of the predicted noise, one value a clip. Single frames skip the temporal layers."""
    noisy = data.noise.add_noise(latents, noise, t)
    with torch.autocast(data.device, torch.bfloat16):
        predicted = unet(noisy, t, tokens[:, None].expand(-1, latents.shape[2], -1, -1))["conv_out"]
    return (predicted.float().transpose(1, 2) - noise).square().mean(dim=(1, 2, 3, 4))


def gaps(unet: TappedUNet3D, data: Data, split: str = "val", clips: int = 48) -> dict[str, np.ndarray]:
    """Loss of each clip: as it is, with another clip's caption at high noise, and with its frames shuffled.

    Noise, timestep and posterior draw are the same in each comparison.
    """
    generator = torch.Generator().manual_seed(0)
    out: dict[str, list[Tensor]] = {name: [] for name in ("loss", "high", "high_other_text", "shuffled_frames")}
    for start in range(0, clips, 8):
        indices = list(range(start, start + 8))
        torch.manual_seed(start)
        latents = data.latents(split, indices)
        texts = [caption(split_scene(split, i), Draws(8, i)) for i in indices]
        tokens = data.tokens(texts)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        t = torch.randint(0, 1000, (8,), generator=generator).to(data.device)
        high = torch.randint(500, 951, (8,), generator=generator).to(data.device)
        order = torch.stack([torch.randperm(latents.shape[2], generator=generator) for _ in indices])
        mixed = torch.stack([clip[:, o] for clip, o in zip(latents, order, strict=True)])
        out["loss"].append(clip_losses(unet, data, latents, tokens, t, noise))
        out["shuffled_frames"].append(clip_losses(unet, data, mixed, tokens, t, noise))
        out["high"].append(clip_losses(unet, data, latents, tokens, high, noise))
        out["high_other_text"].append(clip_losses(unet, data, latents, tokens.roll(1, 0), high, noise))
    return {name: torch.cat(values).cpu().numpy() for name, values in out.items()}


def main() -> None:
    options = read_options(__doc__, steps=STEPS, batch=BATCH)
    torch.manual_seed(0)
    data = Data(options.out, options.device)
    # Run by the program that extraction runs: what is trained is what is probed.
    unet = TappedUNet3D(UNet3DConditionModel(**CONFIG), ["conv_out"]).to(options.device)
    for module in unet.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # every clip is seen a few times only: nothing to regularise

    def loss(ready: tuple[list[int], list[int], list[str]]) -> dict[str, Tensor]:
        indices, frames, texts = ready
        latents = data.latents("train", indices)
        if frames[0] != ALL:
            latents = torch.stack([clip[:, [frame]] for clip, frame in zip(latents, frames, strict=True)])
        t = torch.randint(0, 1000, (len(indices),), device=options.device)
        found = clip_losses(unet, data, latents, data.tokens(texts), t, torch.randn_like(latents))
        return {"total": (data.weights(t) * found).mean(), "plain": found.mean()}

    def validate() -> dict[str, float]:
        found = gaps(unet, data)
        text, time = found["high_other_text"] - found["high"], found["shuffled_frames"] - found["loss"]
        return {
            "val_loss": float(found["loss"].mean()),
            "text_gap": float(text.mean()),
            "text_gap_se": float(text.std() / len(text) ** 0.5),
            "time_gap": float(time.mean()),
            "time_gap_se": float(time.std() / len(time) ** 0.5),
        }

    train(
        options.out / "unet",
        unet,
        partial(batch, size=options.batch, clips=len(data.moments["train"])),
        loss,
        Schedule(options.steps, RATE, tail=TAIL),
        validate=validate,
        validate_every=1000,
    )


if __name__ == "__main__":
    main()
