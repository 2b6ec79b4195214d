"""Damaged input for every reader of what users hand in, in processes with limits of memory and time.

    python experiments/benchmarks/fuzz_readers.py --cases 20000

Spreads the cases over the readers of tests/fuzz/readers.py and prints a table: how many were read, how many were
refused in a line, and how many ended in a traceback, a crash, a hang or for want of memory; of each of the last four
the first with the seed that makes it again: `--only READER --first SEED --cases 1`. Exit status 1 if there is any.
"""

import argparse
import contextlib
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "fuzz"))

from harness import Outcome, Reader, make_case, make_input, run_case
from readers import READERS

KINDS = ("ok", "refused", "traceback", "crash", "hang", "memory")
GOOD = ("ok", "refused")
GRACE = 10.0
"""Seconds after the limit in which a process may still say so; then it is killed."""


class Hang(BaseException):
    """A case took too long. No `Exception`, so that no reader takes it for an error of its own."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=2000, help="over all readers together")
    parser.add_argument("--first", type=int, default=1000, help="seed of the first case of each reader")
    parser.add_argument("--only", action="append", help="a reader, by its name or the start of it; may be repeated")
    parser.add_argument("--seconds", type=float, default=10, help="of a case")
    parser.add_argument("--gigabytes", type=float, default=2, help="of memory for a case")
    args = parser.parse_args()
    readers = [r for r in READERS if not args.only or any(r.name.startswith(name) for name in args.only)]
    if not readers:
        parser.error(f"no such reader; there are {', '.join(reader.name for reader in READERS)}")
    print("| reader | " + " | ".join(KINDS) + " | seconds |\n|---|" + "---|" * (len(KINDS) + 1), flush=True)
    total: Counter[str] = Counter()
    firsts: dict[tuple[str, str], str] = {}
    for place, reader in enumerate(readers):
        count = args.cases // len(readers) + (place < args.cases % len(readers))
        seeds = range(args.first, args.first + count)
        counts: Counter[str] = Counter()
        began = time.monotonic()
        for seed, outcome in outcomes(reader, seeds, args.seconds, args.gigabytes):
            counts[outcome.kind] += 1
            if outcome.kind not in GOOD:
                firsts.setdefault((reader.name, outcome.detail.partition(":")[0]), f"{seed}: {outcome}")
        total += counts
        cells = [*(str(counts[kind]) for kind in KINDS), f"{time.monotonic() - began:.0f}"]
        print(f"| {reader.name} | " + " | ".join(cells) + " |", flush=True)
    print("| all | " + " | ".join(str(total[kind]) for kind in KINDS) + " | |")
    for (name, _), what in firsts.items():
        print(f"{name}, seed {what}"[:600])
    sys.exit(int(any(total[kind] for kind in KINDS if kind not in GOOD)))


def outcomes(reader: Reader, seeds: range, seconds: float, gigabytes: float) -> Iterator[tuple[int, Outcome]]:
    """The outcome of each case; after a crash or a hang a new process continues with the next one."""
    context = multiprocessing.get_context("fork")
    rest = list(seeds)
    with tempfile.TemporaryDirectory() as folder:
        while rest:
            ours, theirs = context.Pipe()
            worker = context.Process(
                target=work, args=(reader, tuple(rest), Path(folder) / str(rest[0]), theirs, seconds, gigabytes)
            )
            worker.start()
            theirs.close()
            while rest:
                # the first case waits for imports and for the good input
                if not ours.poll(seconds + GRACE + 60 * (rest[0] == seeds[0])):
                    worker.kill()
                    yield rest.pop(0), Outcome("hang", "the process did not answer")
                    break
                try:
                    outcome = ours.recv()
                except EOFError:
                    worker.join()
                    yield rest.pop(0), Outcome("crash", f"the process ended with {worker.exitcode}")
                    break
                yield rest.pop(0), outcome
            worker.join()
            ours.close()
            shutil.rmtree(Path(folder), ignore_errors=True)
            Path(folder).mkdir(exist_ok=True)


def work(
    reader: Reader, seeds: tuple[int, ...], folder: Path, out: Connection, seconds: float, gigabytes: float
) -> None:
    """Runs cases and sends what comes of them."""
    with open(os.devnull, "w") as silence:  # libraries print what they think of a damaged file
        os.dup2(silence.fileno(), 1)
        os.dup2(silence.fileno(), 2)
    good = make_input(reader, folder / "good")  # imports what there is to import
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    limit = size + int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, _stop)
    for seed in seeds:
        case = make_case(reader, good, folder / str(seed), seed)
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            outcome = run_case(reader, case)
        except Hang:
            outcome = Outcome("hang", f"more than {seconds:g} s")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        out.send(outcome)
        shutil.rmtree(case, ignore_errors=True)
    out.close()
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)


def _stop(*_: object) -> None:
    raise Hang


if __name__ == "__main__":
    main()
