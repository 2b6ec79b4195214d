"""How long do all studies take on the bundled model, and how much memory? From an empty store, and from a filled one.

    python experiments/benchmarks/studies_time.py --out runs/studies [--json result.json]

Runs every study of `experiments/` that needs no download into the folder `out`, one after another, each as the command
that its file gives. Then all analyses again, with the features, heads and masks that are there.

The memory is that of the largest process of a study.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

STUDIES = ("components", "consistency", "lighting", "stability", "clusters", "timesteps", "layers", "noise")
TRAINED = ("components",)
"""What is not run again: its heads are trained once."""
EXPERIMENTS = Path(__file__).parents[1]


def command(name: str, folder: Path, out: Path) -> list[str]:
    components = folder / "components"
    values = {
        "store": folder / "store",
        "dataset.path": folder / "moving-shapes",
        "components": components / "heads",
        "predictions": components / "masks" / "test",
    }
    study = EXPERIMENTS / f"{name}.yaml"
    return [
        *(sys.executable, "-m", "vdprobe", "run", str(study), "--out", str(out)),
        *(part for key, value in values.items() for part in ("--set", f"values.{key}={value}")),
    ]


def run(name: str, folder: Path, out: Path) -> dict:
    """Seconds and peak of one study."""
    began = time.monotonic()
    with (folder / "log.txt").open("a") as log:
        process = subprocess.Popen(command(name, folder, out), stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)  # of this process and of those that it has waited for
    if status:
        raise SystemExit(f"{name} failed; see {folder / 'log.txt'}")
    return {"seconds": time.monotonic() - began, "peak_bytes": usage.ru_maxrss * 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/studies"))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True)  # what is there would not be timed
    results: dict[str, dict[str, dict]] = {"empty": {}, "filled": {}}
    for store, found in results.items():
        for name in STUDIES:
            if store == "filled" and name in TRAINED:
                continue
            out = args.out / name if store == "empty" else args.out / "again" / name
            row = found[name] = run(name, args.out, out)
            print(f"{store:7} {name:12} {row['seconds']:7.0f} s {row['peak_bytes'] / 2**30:5.1f} GiB", flush=True)
        total = sum(row["seconds"] for row in found.values())
        print(f"{store:7} {'all':12} {total:7.0f} s {max(r['peak_bytes'] for r in found.values()) / 2**30:5.1f} GiB")
    if args.json:
        args.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
