"""What a result was made with, for its reader; no key depends on it."""

import platform
from importlib.metadata import version
from typing import Any

PACKAGES = ("vdprobe", "torch", "diffusers", "transformers", "numpy", "pillow")
"""What takes part in every result."""


def environment(*more: str) -> dict[str, Any]:
    """`versions` of `PACKAGES`, of `more` packages and of Python, and the kind of `machine`."""
    versions = {name: version(name) for name in (*PACKAGES, *more)}
    return {"versions": versions | {"python": platform.python_version()}, "machine": platform.machine()}
