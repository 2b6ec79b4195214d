"""Our order of work against the official one, at ModelScopeT2V's real size with random weights.

    python experiments/benchmarks/extraction_speed.py --json result.json

One clip, several expressions, VD-IT condition, predicted noise, t = 0. The official order encodes
the frames (VAE and CLIP) and runs the whole UNet for each expression, in float32, its VAE through
diffusers' `AutoencoderKL.encode` on the whole clip; ours encodes once, in our VAE layout, and runs the
UNet up to the last tap, all expressions in one forward. Each arm is a process of its
own (so that peak memory is its own), timed after its weights are drawn and one warm-up, `--repeats`
times with the median reported. Needs about 14 GB of memory in float32.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch

EXPRESSIONS = ("a brown dog running", "the dog on the left", "a car in the shade", "the person who walks a dog")


def build(arm: str, model: str):
    from vdprobe.models.diffusion.adapter_set import open_adapter
    from vdprobe.models.diffusion.backbone import Backbone
    from vdprobe.models.diffusion.family import family_of
    from vdprobe.models.diffusion.forms import resolve_condition
    from vdprobe.models.diffusion.pipeline import find_pipeline
    from vdprobe.models.unet3d.taps import VDIT_TAPS

    pipeline = find_pipeline(model)
    adapter = open_adapter("random:0", family_of(pipeline))
    condition = resolve_condition("vd-it", adapter.fingerprints())
    order, dtype = arm.split("-")
    taps = VDIT_TAPS if order == "ours" else (*VDIT_TAPS, "unet.out")
    backbone = Backbone.load(pipeline, taps=taps, conditions=[condition], adapters=[adapter], dtype=dtype, device="cpu")
    if order == "official":
        backbone.video.vae.to(memory_format=torch.contiguous_format)
    return backbone, condition, adapter


def encode(backbone, order, pixels):
    """Latents of the clip."""
    from vdprobe.specs.clip import Clip
    from vdprobe.specs.features import LatentSampling

    if order == "official":
        vae = backbone.video.vae
        return vae.encode(pixels).latent_dist.sample().transpose(0, 1) * vae.config.scaling_factor
    encoded = backbone.video(pixels, posterior=True)
    return backbone.video.latents(encoded, LatentSampling(), Clip("clip", tuple(range(len(pixels)))))


def run(backbone, order, condition, adapter, pixels, texts, stages):
    """One pass over `texts` with everything that does not depend on them done once."""
    from vdprobe.models.diffusion.conditions import make_condition
    from vdprobe.models.diffusion.noise import add_noise, make_noise
    from vdprobe.specs.clip import Clip
    from vdprobe.specs.features import Noise

    began = time.perf_counter()
    latents = encode(backbone, order, pixels)
    vae = time.perf_counter()
    image = backbone.image(pixels)
    clip = time.perf_counter()
    tokens = [make_condition(condition, len(pixels), backbone.text(t).hidden, image, adapter) for t in texts]
    noise = make_noise(Noise(kind="predicted", adapter="x"), latents, Clip("clip", tuple(range(len(pixels)))), adapter)
    level = backbone.process.level(0)
    noisy = add_noise(latents, noise, level)
    text = time.perf_counter()
    backbone.features(noisy, level, torch.stack(tokens))
    unet = time.perf_counter()
    for name, seconds in (("vae", vae - began), ("clip", clip - vae), ("text", text - clip), ("unet", unet - text)):
        stages[name] = stages.get(name, 0.0) + seconds


@torch.inference_mode()
def measure(arm: str, args: argparse.Namespace) -> dict:
    backbone, condition, adapter = build(arm, args.model)
    torch.manual_seed(0)
    pixels = torch.rand(args.frames, 3, args.height, args.width) * 2 - 1
    texts = EXPRESSIONS[: args.expressions]
    passes = [list(texts)] if arm.startswith("ours") else [[text] for text in texts]
    totals, stages = [], {}
    run(
        backbone, arm.split("-")[0], condition, adapter, pixels, passes[0], {}
    )  # warm-up: first calls also choose kernels and touch memory
    for _ in range(args.repeats):
        stages = {}
        for some in passes:
            run(backbone, arm.split("-")[0], condition, adapter, pixels, some, stages)
        totals.append(sum(stages.values()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"arm": arm, "seconds": statistics.median(totals), "all": totals, "stages": stages, "peak_bytes": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="random:modelscope")
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=448)
    parser.add_argument("--expressions", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--arms", default="official-float32,ours-float32,ours-bfloat16")
    parser.add_argument("--json")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one, args)))
        return
    results = []
    for arm in args.arms.split(","):
        command = [sys.executable, __file__, *sys.argv[1:], "--one", arm]
        results.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
        row = results[-1]
        stages = "  ".join(f"{name} {seconds:6.1f}" for name, seconds in row["stages"].items())
        ratio = results[0]["seconds"] / row["seconds"]
        print(f"{arm:18} {row['seconds']:7.1f} s  {ratio:5.2f}x  peak {row['peak_bytes'] / 2**30:5.1f} GiB  ({stages})")
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"threads": torch.get_num_threads(), "arms": results}, file, indent=2)


if __name__ == "__main__":
    main()
