"""Where the store is when nobody says where."""

import os
from pathlib import Path


def default_root() -> Path:
    """`$VDPROBE_CACHE` when it is set, else `vdprobe/features` in the user's cache folder."""
    chosen = os.environ.get("VDPROBE_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("vdprobe", appauthor=False)) / "features"
