"""What `exact` asks of torch: sums in one order, whatever the machine's number of cores."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Lets torch compute in one thread on the CPU, and gives it back the threads it had.

    How matrix products and convolutions cut their sums depends on the number of threads, and a process may get
    another number wherever it runs.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def exact_facts() -> dict[str, Any]:
    """What the bits of an exact computation hold for, beside the versions of packages: threads and kind of CPU."""
    return {"exact": {"threads": 1, "cpu": torch.backends.cpu.get_cpu_capability()}}
