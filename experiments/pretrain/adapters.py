"""Six adapters: each condition with predicted and with Gaussian noise, through the frozen bundled UNet.

    python experiments/pretrain/adapters.py --out runs/tiny-t2v

Runs `vdprobe datasets make` and `vdprobe train-adapter` as a user would; stopped, it goes on where it was.
"""

import json
import shutil
import subprocess
import sys

from loop import read_options

from vdprobe.models.diffusion.adapter import load_adapter

CONDITIONS, NOISES = ("vd-it", "vd-t", "vd-i"), ("gaussian", "predicted")
VIDEOS = {"easy-train": 800, "easy-val": 100}
STEPS = 200
SPEC = {
    "videos": {"split": "easy-train", "val_split": "easy-val"},
    "clips": {"kind": "windows", "frames": 8},
    "resize": {"short_side": 128, "long_side": None},
    "steps": STEPS,
    "batch_size": 4,
    "head_rate": 1e-3,
    "adapter_rate": 1e-4,
    "clip_norm": 1.0,
    "validate_every": 100,
    "val_clips": 24,
}
"""Rates above VD-IT's (1e-4 and 5e-5), which are for a head and an adapter that start from far more training.

Seen with vd-it and Gaussian noise on easy-val after 200 steps, beside the text's own tokens: cosine .87 (of 1), text
gap .0212 (of .0292), colour words pointing .90 (of .92), J of the small head .293. With an adapter rate of 5e-4 words
are lost for nothing: .63, .0174, .88, .289.
"""


def vdprobe(*arguments: object) -> None:
    """Runs a command of the product."""
    subprocess.run([sys.executable, "-m", "vdprobe", *map(str, arguments)], check=True)


def main() -> None:
    options = read_options(__doc__, steps=STEPS)
    videos, pipeline = options.out / "moving-shapes", options.out / "pipeline"
    if not all((videos / "meta_expressions" / split / "meta_expressions.json").is_file() for split in VIDEOS):
        shutil.rmtree(videos, ignore_errors=True)
        vdprobe(
            "datasets", "make", videos, *(word for split, count in VIDEOS.items() for word in (f"--{split}", count))
        )
    spec = options.out / "adapters.json"
    spec.write_text(json.dumps(SPEC | {"steps": options.steps}, indent=2))
    for condition in CONDITIONS:
        for noise in NOISES:
            name = f"{condition}-{noise}"
            folder = options.out / "adapters" / name
            vdprobe(
                *("train-adapter", spec, "--videos", videos, "--model", pipeline, "--device", options.device),
                *("--condition", condition, "--noise", noise, "--out", folder),
            )
            (pipeline / "adapters").mkdir(exist_ok=True)
            load_adapter(folder / "adapter.safetensors").half().save(pipeline / "adapters" / f"{name}.safetensors")


if __name__ == "__main__":
    main()
