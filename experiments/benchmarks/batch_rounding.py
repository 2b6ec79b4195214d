"""How much the number of expressions that share a forward changes feature values.

    python experiments/benchmarks/batch_rounding.py --model random:tiny

Runs four texts one by one and all together, and prints for each tap the largest difference,
absolute and relative to the tap's standard deviation.
"""

import argparse

import torch

from vdprobe.models.diffusion.backbone import Backbone
from vdprobe.models.diffusion.forms import resolve_condition
from vdprobe.models.diffusion.pipeline import find_pipeline
from vdprobe.models.diffusion.vae_taps import split_taps
from vdprobe.models.unet3d.taps import VDIT_TAPS

TEXTS = ("a brown dog running", "the dog on the left", "a car in the shade", "the person who walks a dog")


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="random:tiny")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=448)
    args = parser.parse_args()
    taps = split_taps(VDIT_TAPS)[1]
    condition = resolve_condition("vd-t", {})
    pipeline = find_pipeline(args.model)
    backbone = Backbone.load(pipeline, taps=taps, conditions=[condition], dtype=args.dtype)
    torch.manual_seed(0)
    latents = torch.randn(4, args.frames, args.height // 8, args.width // 8)
    tokens = torch.stack([backbone.text(text).hidden.expand(args.frames, -1, -1) for text in TEXTS])
    level = backbone.process.level(0)
    together = backbone.features(latents, level, tokens)
    alone = [backbone.features(latents, level, tokens[row : row + 1]) for row in range(len(TEXTS))]
    again = backbone.features(latents, level, tokens)
    print(f"{'tap':14}{'max abs':>10}{'max / std':>11}   same batch again")
    for tap in taps:
        one_by_one = torch.cat([out[tap] for out in alone]).float()
        worst = (together[tap].float() - one_by_one).abs().max()
        same = "equal to the bit" if torch.equal(together[tap], again[tap]) else "differs"
        print(f"{tap:14}{worst:10.1e}{worst / one_by_one.std():11.1e}   {same}")


if __name__ == "__main__":
    main()
