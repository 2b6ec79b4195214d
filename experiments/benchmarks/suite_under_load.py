"""Runs the whole test suite several times beside busy loops: a test that fails once in ten runs is wrong.

    python experiments/benchmarks/suite_under_load.py --times 10 --busy 4 --log runs/suite_under_load.jsonl

Every run is a line of the log. Runs that are in the log are not made again, so that a stopped measurement goes on.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUSY = "import os, sys\nwhile os.getppid() == int(sys.argv[1]):\n    sum(range(100_000))"
"""Computes as long as the process that started it lives."""


def run_suite(arguments: list[str], environment: dict[str, str]) -> dict[str, object]:
    """One run: its exit status, the last line of pytest, the names of failed tests and its seconds."""
    began = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-n", "2", "-q", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    last = done.stdout.strip().splitlines()[-1:]
    seconds = round(time.monotonic() - began)
    return {"status": done.returncode, "failed": failed, "last": last, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--busy", type=int, default=4, help="processes that compute without end beside the suite")
    parser.add_argument("--log", type=Path, default=ROOT / "runs" / "suite_under_load.jsonl")
    parser.add_argument("pytest", nargs="*", help="arguments of pytest, such as a folder of tests")
    given = parser.parse_args()
    given.log.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in given.log.read_text().splitlines()] if given.log.exists() else []
    loops = [subprocess.Popen([sys.executable, "-c", BUSY, str(os.getpid())]) for _ in range(given.busy)]
    try:
        for number in range(len(rows), given.times):
            row = {"run": number + 1, "busy": given.busy}
            row |= run_suite(given.pytest, os.environ | {"OMP_NUM_THREADS": "1"})
            rows.append(row)
            with given.log.open("a") as log:
                log.write(json.dumps(row) + "\n")
            print(row, flush=True)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    green = sum(row["status"] == 0 for row in rows)
    print(f"{green} of {len(rows)} runs green")
    sys.exit(green != len(rows))


if __name__ == "__main__":
    main()
