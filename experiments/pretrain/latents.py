"""The UNet's data: the VAE's posterior of whole clips, kept on disk, so that each frame is encoded once.

python experiments/pretrain/latents.py --out runs/tiny-t2v
"""

import json
import os
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from loop import load_trained, read_options
from torch import Tensor
from vae import CONFIG

from vdprobe.data.moving_shapes.render import render
from vdprobe.data.moving_shapes.splits import split_scene

CLIPS = 8_000
"""Clips of the train split; val has 200."""
CHUNK = 200


def load_vae(out: Path, device: str = "cpu") -> AutoencoderKL:
    """The trained VAE, frozen."""
    vae = AutoencoderKL(**CONFIG)
    load_trained(out / "vae", vae)
    return vae.to(device)


def encode(vae: AutoencoderKL, frames: np.ndarray) -> Tensor:
    """Posterior moments (F, 8, 16, 16) of uint8 frames (F, 128, 128, 3)."""
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).to(vae.device).float() / 127.5 - 1
    with torch.autocast(vae.device.type, torch.bfloat16):
        return vae.encode(pixels).latent_dist.parameters.float()


def load_moments(out: Path, split: str) -> np.ndarray:
    """float16 (clips, F, 8, 16, 16). Raises `SystemExit` when some are still to be encoded."""
    folder = out / "latents"
    count = json.loads((folder / "clips.json").read_text())[split] if (folder / "clips.json").is_file() else 0
    paths = sorted(folder.glob(f"{split}-*.npy"))
    if not count or len(paths) < -(-count // CHUNK):
        raise SystemExit(f"{folder} lacks clips of the split '{split}': run latents.py (again)")
    return np.concatenate([np.load(path) for path in paths])[:count]


def main() -> None:
    options = read_options(__doc__, clips=CLIPS)
    vae = load_vae(options.out, options.device)
    folder = options.out / "latents"
    folder.mkdir(exist_ok=True)
    clips = {"train": options.clips, "val": 200}
    (folder / "clips.json").write_text(json.dumps(clips))
    with torch.inference_mode():
        for split, count in clips.items():
            for start in range(0, count, CHUNK):
                path = folder / f"{split}-{start:07d}.npy"
                if path.is_file():
                    continue
                scenes = (split_scene(split, index) for index in range(start, min(count, start + CHUNK)))
                moments = [encode(vae, render(scene).frames).half().cpu().numpy() for scene in scenes]
                np.save(folder / "part.npy", np.stack(moments))
                os.replace(folder / "part.npy", path)
                print(f"latents: {path.name}", flush=True)


if __name__ == "__main__":
    main()
