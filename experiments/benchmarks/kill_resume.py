"""Kills an extraction at random moments, resumes it, and compares the store with an uninterrupted one.

    python experiments/benchmarks/kill_resume.py SPEC.yaml --kills 20

Both stores are made in a temporary folder. Passes when both hold the same items with the same bytes.
Each run is killed (SIGKILL) after the seconds that Python and the model take to load, and then a time
drawn uniformly, 0.75 / `--kills` of an uninterrupted run on average, so that work is left for the last.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vdprobe import FeatureStore


def command(spec: Path, store: Path) -> list[str]:
    return [sys.executable, "-m", "vdprobe", "extract", str(spec), "--store", str(store)]


def contents(root: Path) -> dict[str, bytes]:
    """Path of every file of every committed item to its bytes."""
    return {
        str(file.relative_to(root)): file.read_bytes()
        for item in FeatureStore.open(root).items()
        for file in item.path.rglob("*")
        if file.is_file()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("spec", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--load-seconds", type=float, default=5.0, help="time until the first item, not counted")
    args = parser.parse_args()
    moments = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, torn = Path(folder) / "whole", Path(folder) / "torn"
        began = time.monotonic()
        subprocess.run(command(args.spec, whole), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lasted = time.monotonic() - began
        killed = 0
        for _ in range(args.kills):
            process = subprocess.Popen(command(args.spec, torn), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            life = args.load_seconds + moments.uniform(0, 1.5 * (lasted - args.load_seconds) / args.kills)
            try:
                process.wait(timeout=life)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed += 1
        last = subprocess.run([*command(args.spec, torn), "--json"], check=True, stdout=subprocess.PIPE)
        report = json.loads(last.stdout)
        again = subprocess.run([*command(args.spec, torn), "--json"], check=True, stdout=subprocess.PIPE)
        a, b = contents(whole), contents(torn)
        different = [name for name in a.keys() | b.keys() if a.get(name) != b.get(name)]
        result = {
            "kills": killed,
            "items": report["items"],
            "written by the last run": report["written"],
            "forwards of a further run": json.loads(again.stdout)["forwards"],
            "files": len(a),
            "files that differ": len(different),
            "examples": different[:5],
        }
    print(json.dumps(result, indent=2))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
