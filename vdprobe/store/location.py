"""Where a store is: always a folder of this machine."""

import os
import re
from pathlib import Path

from vdprobe.errors import ConfigError

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/.*", re.DOTALL)
"""`scheme://place`, also with one slash, which is what a path makes of it."""


def default_root() -> Path:
    """`$VDPROBE_CACHE` when it is set, else `vdprobe/features` in the user's cache folder."""
    chosen = os.environ.get("VDPROBE_CACHE")
    if chosen:
        return local_folder(chosen)
    import platformdirs

    return Path(platformdirs.user_cache_dir("vdprobe", appauthor=False)) / "features"


def local_folder(root: str | Path) -> Path:
    """The absolute path of a store's folder. Raises `ConfigError` for an address, or what can be no path."""
    text = os.fspath(root)
    if not text or any(ord(c) < 32 for c in text):
        raise ConfigError(f"{text!r} cannot be the folder of a store; give a path, such as ./features")
    if ADDRESS.fullmatch(text):
        scheme, _, place = text.partition(":")
        hint = f" /{place.lstrip('/')}" if scheme.lower() == "file" else ", copied or mounted there"
        raise ConfigError(f"'{text}' is an address, and a store is a folder of this machine: give its path{hint}")
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:  # ~ of a user who is not there
        raise ConfigError(f"'{text}' cannot be the folder of a store ({error}); give its path") from error
