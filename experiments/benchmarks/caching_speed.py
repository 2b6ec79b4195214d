"""A training step of the head on cached features against one that runs the frozen model, at real size.

    python experiments/benchmarks/caching_speed.py --json result.json

One clip with one expression, random weights of ModelScopeT2V's size, VD-IT condition, predicted noise, t = 0,
the head at its official size, float32. Arms, each a process of its own with its own peak of memory:

- `cached`: features are read from a store (float16), the head makes a step.
- `frozen`: VAE, CLIP, text encoder and UNet make the features without gradients, the head makes a step: what a
  training without a cache costs when nothing but the head is trained.
- `through` (only with `--arms`): the same with gradients through the UNet to the adapter, as VD-IT is trained; a
  cache cannot serve this one, since each step changes the features. Takes 19 GiB.

Each is timed after a warm-up, `--repeats` times, with the median reported. The warm-up counts what the step computes
(products and sums of matrix products, convolutions and attention): the ratio of these is what a cache can save where
both arms run equally well.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
from extraction_speed import EXPRESSIONS, build, encode
from torch.utils.flop_counter import FlopCounterMode


def features(backbone, condition, adapter, pixels):
    """The seven taps of a clip, each (F, C, h, w)."""
    from vdprobe.models.diffusion.conditions import make_condition
    from vdprobe.models.diffusion.noise import add_noise, make_noise
    from vdprobe.specs.clip import Clip
    from vdprobe.specs.features import Noise

    with torch.no_grad():
        taps = dict(backbone.video(pixels, posterior=True).taps)
        latents = encode(backbone, "ours", pixels)
        image, hidden = backbone.image(pixels), backbone.text(EXPRESSIONS[0]).hidden
    tokens = make_condition(condition, len(pixels), hidden, image, adapter)
    noise = make_noise(Noise(kind="predicted", adapter="x"), latents, Clip("clip", tuple(range(len(pixels)))), adapter)
    level = backbone.process.level(0)
    noisy = add_noise(latents, noise, level)
    return taps | {tap: value[0] for tap, value in backbone.features(noisy, level, tokens[None]).items()}


def stored(folder, taps, frames):
    """The same taps as an item of a store."""
    from vdprobe.specs.features import FeatureSpec, Item, ModelIdentity
    from vdprobe.specs.layer import TapPlace
    from vdprobe.specs.spans import frame_spans
    from vdprobe.specs.video import ClipSampling, Resize
    from vdprobe.store.store import FeatureStore

    store = FeatureStore.create(folder)
    spec = FeatureSpec(
        model=ModelIdentity(name="random", parts={"unet": "0" * 64}),
        taps=tuple(sorted(taps)),
        timesteps=(0,),
        condition=None,
        noise=None,
        latents=None,
        clips=ClipSampling(),
        resize=Resize(),
        compute_dtype="float32",
        store_dtype="float16",
    )
    item = Item(video="clip", digest="0" * 64, frames=tuple(range(frames)), text=None)
    store.write_spec(spec, {})
    values = {tap: value[None].half().numpy() for tap, value in taps.items()}
    store.write(spec, item, values, places=dict.fromkeys(taps, TapPlace(8, frame_spans(frames))), attrs={})
    return store.get(spec.key, item)


def measure(arm: str, args: argparse.Namespace) -> dict:
    from vdprobe.head.config import HeadConfig
    from vdprobe.head.head import Head
    from vdprobe.head.outputs import Target
    from vdprobe.models.unet3d.levels import merge_levels
    from vdprobe.training.head_batches import HeadBatch, HeadLosses
    from vdprobe.training.memory import keep_freed_memory

    keep_freed_memory()  # as the commands do, for all arms
    frames, height, width = args.frames, args.height, args.width
    torch.manual_seed(0)
    pixels = torch.rand(frames, 3, height, width) * 2 - 1
    masks = torch.zeros(1, frames, height, width, dtype=torch.bool)
    masks[..., height // 4 : height // 2, width // 4 : width // 2] = True
    box = torch.tensor([0.375, 0.375, 0.25, 0.25])
    target = Target(boxes=box.expand(1, frames, 4), masks=masks, visible=torch.ones(1, frames, dtype=torch.bool))
    model = HeadLosses(Head(HeadConfig()))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    words, padding = torch.randn(1, 8, 768), torch.zeros(1, 8, dtype=torch.bool)

    def step(levels):
        batch = HeadBatch(list(levels), words, padding, [(height, width)], target, [torch.Generator().manual_seed(0)])
        losses = model(batch, torch.tensor(frames))
        losses["total"].backward()
        optimizer.step()
        optimizer.zero_grad()

    if arm == "cached":
        from vdprobe.models.unet3d.taps import VDIT_LEVELS

        with tempfile.TemporaryDirectory() as folder:
            shapes = zip(VDIT_LEVELS, args.widths, (4, 8, 16, 32), strict=True)
            taps = {
                tap: torch.randn(frames, channels, height // stride, width // stride)
                for names, widths, stride in shapes
                for tap, channels in zip(names, widths, strict=True)
            }
            item = stored(folder, taps, frames)
            read = lambda: {tap: torch.from_numpy(item.read(tap, 0).astype(np.float32)) for tap in taps}  # noqa: E731
            return timed(arm, lambda: step(merge_levels(read())), args)
    backbone, condition, adapter = build("ours-float32", args.model)
    if arm == "through":
        adapter.requires_grad_(True)

    def whole():
        with torch.set_grad_enabled(arm == "through"):
            taps = features(backbone, condition, adapter, pixels)
        step(merge_levels(taps))

    return timed(arm, whole, args)


def timed(arm, work, args) -> dict:
    with FlopCounterMode(display=False) as counter:
        work()
    seconds = []
    for _ in range(args.repeats):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"arm": arm, "seconds": statistics.median(seconds), "all": seconds, "peak_bytes": peak} | {
        "flops": counter.get_total_flops()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="random:modelscope")
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=448)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--arms", default="cached,frozen")
    parser.add_argument("--json")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.widths = ((512,), (320, 640), (320, 1280), (640, 1280))  # of VDIT_LEVELS' taps in ModelScopeT2V
    if args.one:
        print(json.dumps(measure(args.one, args)))
        return
    results = []
    for arm in args.arms.split(","):
        command = [sys.executable, __file__, *sys.argv[1:], "--one", arm]
        results.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
        row = results[-1]
        time_ratio, work_ratio = (row[name] / results[0][name] for name in ("seconds", "flops"))
        took = f"{row['seconds']:7.2f} s {time_ratio:5.1f}x  {row['flops'] / 1e12:6.2f} TFLOP {work_ratio:5.1f}x"
        print(f"{arm:8} {took}  peak {row['peak_bytes'] / 2**30:5.1f} GiB", flush=True)
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"threads": torch.get_num_threads(), "arms": results}, file, indent=2)


if __name__ == "__main__":
    main()
