"""Names of files and folders, from names that people gave."""

import re


def file_name(name: str) -> str:
    """A name without what file systems or a shell may mind: `random-UNet`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "-"
