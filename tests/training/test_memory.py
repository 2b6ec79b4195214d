"""In a process of its own: what is told to the allocator holds until it ends."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource
import torch
from vdprobe.training.memory import keep_freed_memory

if {keep}:
    assert keep_freed_memory()
torch.ones(16 << 20).sum()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(40):
    torch.ones(16 << 20).sum()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep):
    made = subprocess.run([sys.executable, "-c", SCRIPT.format(keep=keep)], capture_output=True, text=True, check=True)
    return int(made.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator is not glibc's")
def test_pages_are_asked_for_once():
    assert faults(keep=True) < faults(keep=False) / 3
