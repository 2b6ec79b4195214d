"""Wan 2.1 1.3B at its real size, with random weights, through an extraction on a CPU: up to a block, and whole.

    python experiments/benchmarks/wan_size.py [--dtype float32] [--block 10] [--json result.json]

One clip of 9 frames of 64 x 96 pixels under two texts at s = 0.5. `truncated` taps the block alone, so that later
blocks are neither drawn nor run; `whole` also taps the last layer of the transformer, so that all of them are. VAE and
transformer are of the published size; UMT5-XXL, which would need 22 GB beside, is replaced by one layer of its width.
Each arm is a process of its own. Needs about 8 GB of memory in float32.

- `load`: CPU seconds to draw the weights, where a pipeline would read them. `clip`: those for the features of the clip,
  of VAE, text encoder, transformer and store together.
- `weights`: GiB of the transformer that are there. `peak`: GiB that the process has held at most.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vdprobe.models import wan_sizes

TEXTS = ("the object moving up", "a ring")
ARCHITECTURE = {
    **wan_sizes.WAN_1_3B,
    "text_encoder": {"vocab_size": 384, "d_model": 4096, "d_kv": 64, "d_ff": 64, "num_layers": 1, "num_heads": 1},
}


def write_clip(folder: Path) -> Path:
    """A folder with one video and its texts."""
    from vdprobe.data.moving_shapes import make_video
    from vdprobe.data.write_video import write_video

    write_video(make_video("train", 0, frames=9, side=96).rendering.frames[:, :64], folder / "a.mp4")
    (folder / "texts.json").write_text(json.dumps({"a": TEXTS}))
    return folder


def measure(arm: str, folder: Path, dtype: str, block: int) -> dict:
    from vdprobe.extraction.compute import Computer
    from vdprobe.extraction.config import parse_config
    from vdprobe.extraction.plan import make_plan
    from vdprobe.extraction.run import extract
    from vdprobe.models import families
    from vdprobe.store.store import FeatureStore

    families.ARCHITECTURES["wan"] = f"{__name__}:ARCHITECTURE"
    taps = [f"blocks.{block}", *(["transformer.proj_out"] if arm == "whole" else [])]
    config = parse_config(
        {
            "model": {"pipeline": "random:wan", "device": "cpu", "dtype": dtype},
            "videos": {"path": str(folder), "expressions": str(folder / "texts.json")},
            "clips": {"frames": 9},
            "resize": {"short_side": 64, "long_side": None, "multiple": 16},
            "timesteps": ["s=0.5"],
            "taps": taps,
            "store": {"path": str(folder / arm)},
        }
    )
    plan, load, found = make_plan(config), Computer.load, {}

    def timed(plan):
        began = time.process_time()
        computer = load(plan)
        found["load"] = time.process_time() - began
        network = computer.model.backbone.denoiser.network
        found["weights"] = sum(p.nbytes for p in network.parameters() if p.device.type != "meta")
        return computer

    Computer.load = timed
    began = time.process_time()
    report = extract(plan, FeatureStore.create(folder / arm))
    assert report.ok, report.failures
    found["clip"] = time.process_time() - began - found["load"]
    return {"arm": arm, **found, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--block", type=int, default=10)
    parser.add_argument("--json")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one[0], Path(args.one[1]), args.dtype, args.block)))
        return
    results = []
    with tempfile.TemporaryDirectory() as folder:
        write_clip(Path(folder))
        print("arm         load s   clip s  weights GiB  peak GiB")
        for arm in ("truncated", "whole"):
            command = [sys.executable, __file__, *sys.argv[1:], "--one", arm, folder]
            results.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
            row = results[-1]
            sizes = f"{row['weights'] / 2**30:12.2f} {row['peak'] / 2**30:9.2f}"
            print(f"{arm:9} {row['load']:8.1f} {row['clip']:8.2f} {sizes}", flush=True)
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
