"""Remove features for good."""

import os
from pathlib import Path

from vdprobe.errors import StoreError, suggest
from vdprobe.store.folders import groups, groups_of, size, spec_folders
from vdprobe.store.layout import discard, folder_name
from vdprobe.store.owner import fresh_name
from vdprobe.store.spec_file import NAME, read_spec
from vdprobe.store.store import FeatureStore

SHORT = 16
"""Digits of a key in the name of a spec's folder."""


def remove(store: FeatureStore, spec_key: str, video: str | None = None) -> tuple[int, int]:
    """Remove a spec (key or unique prefix), or one of its videos; gives how many items and bytes went.

    A spec whose `spec.json` is damaged is removed too. Raises `StoreError` for an unknown spec or video, and where
    removing fails.
    """
    folder = find_folder(store, spec_key)
    target = folder
    if video is not None:
        target = folder / folder_name(video)
        if not target.is_dir():
            videos = sorted({i.item.video for i in store.items() if i.path.parent.parent == folder})
            told = suggest(video, videos) if videos else "it has none that can be named; remove the whole spec"
            raise StoreError(f"no video '{video}' in spec {folder.name}: {told}")
    aside = store.root / "tmp" / fresh_name()
    try:
        aside.parent.mkdir(exist_ok=True)
        os.rename(target, aside)  # out of sight in one step: nobody sees half an item
        counts = _measure(aside, of_video=video is not None)
        discard(aside)
    except OSError as error:
        raise StoreError(f"cannot remove {target}: {error.strerror}; remove it by hand") from error
    return counts


def find_folder(store: FeatureStore, prefix: str) -> Path:
    """The folder of the one spec whose key starts with `prefix`, also where its `spec.json` is damaged.

    Raises `StoreError` where none or several do.
    """
    found = [folder for folder in spec_folders(store.root) if folder.name.startswith(prefix[:SHORT])]
    if len(found) == 1 and read_spec(found[0] / NAME) is None:
        return found[0]
    if len(found) > 1:
        names = ", ".join(folder.name for folder in found)
        raise StoreError(f"spec '{prefix}' is ambiguous in {store.root}: give more of one of {names}")
    return store.resolve_spec(prefix).path


def _measure(folder: Path, *, of_video: bool) -> tuple[int, int]:
    """Groups below `folder`, and the bytes of all files."""
    return len(groups_of(folder) if of_video else list(groups(folder))), size(folder)
