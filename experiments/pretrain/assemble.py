"""Puts the trained parts together: a pipeline folder in the diffusers layout, float16 safetensors.

python experiments/pretrain/assemble.py --out runs/tiny-t2v
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from clip import MEAN, STD, Clip
from diffusers import AutoencoderKL, UNet3DConditionModel
from latents import load_vae
from loop import load_trained
from safetensors.torch import save_file
from tokenizer import make_tokenizer
from torch import nn
from transformers import CLIPImageProcessor
from unet import CONFIG as UNET
from unet import SCHEDULER, Data
from vae import CONFIG as VAE

from vdprobe.models.unet3d.network import TappedUNet3D

LIMIT = 40_000_000
"""Bytes that all of it may take."""


def write_module(folder: Path, module: nn.Module, name: str) -> None:
    """Weights of a module in float16, in an order that does not change."""
    tensors = {key: tensor.half().contiguous() for key, tensor in sorted(module.state_dict().items())}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / name, metadata={"format": "pt"})


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def assemble(out: Path) -> Path:
    """The pipeline folder, made anew but for the adapters in it."""
    folder = out / "pipeline"
    vae = load_vae(out)
    scale = Data(out).scale
    write_module(folder / "vae", vae, "diffusion_pytorch_model.safetensors")
    write_json(
        folder / "vae/config.json", {"_class_name": AutoencoderKL.__name__, **VAE, "scaling_factor": round(scale, 5)}
    )

    unet = TappedUNet3D(UNet3DConditionModel(**UNET), ["conv_out"])
    load_trained(out / "unet", unet)
    write_module(folder / "unet", unet.unet, "diffusion_pytorch_model.safetensors")
    write_json(folder / "unet/config.json", {"_class_name": UNet3DConditionModel.__name__, **UNET})

    tokenizer = make_tokenizer()
    clip = Clip(tokenizer)
    load_trained(out / "clip", clip)
    tokenizer.save_pretrained(folder / "tokenizer")
    for name, model in (("text_encoder", clip.text), ("image_encoder", clip.vision)):
        write_module(folder / name, model, "model.safetensors")
        config = model.config.to_diff_dict()
        write_json(folder / name / "config.json", {**config, "architectures": [type(model).__name__]})
    side = clip.vision.config.image_size
    CLIPImageProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}, image_mean=MEAN, image_std=STD
    ).save_pretrained(folder / "image_encoder")

    write_json(folder / "scheduler/scheduler_config.json", SCHEDULER)
    index = {
        "_class_name": "TextToVideoSDPipeline",
        "scheduler": ["diffusers", "DDPMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet3DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    write_json(folder / "model_index.json", index)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/tiny-t2v"))
    parser.add_argument("--to", type=Path, help="copy the finished folder here, such as vdprobe/assets/tiny-t2v")
    options = parser.parse_args()
    with torch.no_grad():
        folder = assemble(options.out)
    sizes = {path.relative_to(folder): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}
    for path, size in sizes.items():
        print(f"{size / 1e6:8.2f} MB  {path}")
    total = sum(sizes.values())
    print(f"{total / 1e6:8.2f} MB  in all, of at most {LIMIT / 1e6:.0f}")
    if total > LIMIT:
        raise SystemExit("too large to ship")
    if options.to:
        shutil.copytree(folder, options.to, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
