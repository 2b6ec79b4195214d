"""Remove features for good."""

import os
from pathlib import Path

from vdprobe.errors import StoreError, suggest
from vdprobe.store.folders import groups, groups_of, size
from vdprobe.store.layout import discard, folder_name
from vdprobe.store.owner import fresh_name
from vdprobe.store.store import FeatureStore


def remove(store: FeatureStore, spec_key: str, video: str | None = None) -> tuple[int, int]:
    """Remove a spec (key or unique prefix), or one of its videos; gives how many items and bytes went.

    Raises `StoreError` for an unknown spec or video, and where removing fails.
    """
    spec = store.resolve_spec(spec_key)
    target = spec.path
    if video is not None:
        target = spec.path / folder_name(video)
        if not target.is_dir():
            videos = sorted({i.item.video for i in store.items(spec.key)})
            raise StoreError(f"no video '{video}' in spec {spec.key[:16]}: {suggest(video, videos)}")
    aside = store.root / "tmp" / fresh_name()
    try:
        aside.parent.mkdir(exist_ok=True)
        os.rename(target, aside)  # out of sight in one step: nobody sees half an item
        counts = _measure(aside, of_video=video is not None)
        discard(aside)
    except OSError as error:
        raise StoreError(f"cannot remove {target}: {error.strerror}; remove it by hand") from error
    return counts


def _measure(folder: Path, *, of_video: bool) -> tuple[int, int]:
    """Groups below `folder`, and the bytes of all files."""
    return len(groups_of(folder) if of_video else list(groups(folder))), size(folder)
