"""What a group says it is, and all that proves it short of reading its features."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from vdprobe.specs.features import Item, Timestep
from vdprobe.store.checksum import extend
from vdprobe.store.item import StoredItem
from vdprobe.store.json_files import NotJson, is_int, is_number, parse_json, read_bytes
from vdprobe.store.layout import folder_name, is_tap
from vdprobe.store.record import NAME, Record, implied_files, load_record, missing_file

HEAD = "zarr.json"


class DamageError(Exception):
    """A file of a group, by its `name`, and the `problem` with it; `misplaced` where it may be whole elsewhere."""

    def __init__(self, name: str, problem: str, *, misplaced: bool = False) -> None:
        super().__init__(f"{name} {problem}")
        self.misplaced = misplaced


@dataclass(frozen=True)
class Group:
    """A group whose record, item and place fit each other; `timesteps` are empty where features have none."""

    record: Record
    item: Item
    attrs: dict[str, Any]
    taps: tuple[str, ...]
    timesteps: tuple[Timestep, ...]

    @property
    def scaled(self) -> bool:
        """Whether its taps have steps beside them, as int8 has."""
        return f"{self.taps[0]}.scale/zarr.json" in self.record.files


def load_group(path: Path, spec_key: str | None) -> Group:
    """The group at `path`, its features unread.

    - `spec_key`: of its folder; None where nothing says it, and the group's own has to fit the folder's name.

    Raises `DamageError`, and `OSError` where a file cannot be read.
    """
    try:
        record = load_record(path)
    except FileNotFoundError as error:
        raise DamageError(NAME, "is missing or damaged") from error
    except NotJson as error:
        raise DamageError(NAME, f"is damaged: it {error}") from error
    if record.spec != (spec_key or record.spec) or record.spec[:16] != path.parent.parent.name:
        raise DamageError(NAME, "holds the keys of another item", misplaced=True)
    group = _describe(path, record)
    if record.files.keys() != implied_files(group.taps, max(1, len(group.timesteps)), scaled=group.scaled):
        raise DamageError(NAME, "does not name exactly the files that taps and timesteps imply")
    if f"{record.item[:16]}.zarr" != path.name:
        raise DamageError(NAME, "holds the keys of another item", misplaced=True)
    if folder_name(group.item.video) != path.parent.name:
        raise DamageError(NAME, f"belongs in the folder of video {group.item.video!r:.60}", misplaced=True)
    return group


def load_item(path: Path, spec_key: str, item_key: str | None = None, *, verify: bool = True) -> StoredItem | None:
    """The committed item at `path`, None when it is absent, damaged or another one."""
    try:
        group = load_group(path, spec_key)
    except (OSError, DamageError):
        return None
    if item_key not in (None, group.record.item) or missing_file(path, group.record) is not None:
        return None
    return StoredItem(path, group.item, spec_key, group.attrs, group.taps, group.record.files, verify)


def _describe(path: Path, record: Record) -> Group:
    try:
        content = read_bytes(path / HEAD)
        found = (len(content), f"{extend(0, content):08x}")
        if found != record.files.get(HEAD):
            raise DamageError(HEAD, "is not what was written (checksum differs)")
        attrs = parse_json(content).get("attributes")
    except FileNotFoundError as error:
        raise DamageError(HEAD, "is missing") from error
    except NotJson as error:
        raise DamageError(HEAD, f"is damaged: it {error}") from error
    if not isinstance(attrs, dict):
        raise DamageError(HEAD, "is damaged: it has no attributes")
    item, taps, timesteps = _item(attrs.get("item")), attrs.get("taps"), attrs.get("timesteps")
    if item is None or not _is_list(taps, is_tap) or not taps or not _is_list(timesteps, is_number):
        raise DamageError(HEAD, "is damaged: it does not describe an item")
    if item.key(record.spec) != record.item or attrs.get("spec") != record.spec:
        raise DamageError(HEAD, "describes another item than its key")
    return Group(record, item, attrs, tuple(taps), tuple(timesteps))


def _item(plain: Any) -> Item | None:
    if not isinstance(plain, dict) or plain.keys() != {"video", "digest", "frames", "text"}:
        return None
    video, digest, frames, text = (plain[name] for name in ("video", "digest", "frames", "text"))
    if not (isinstance(video, str) and isinstance(digest, str) and (text is None or isinstance(text, str))):
        return None
    if not _is_list(frames, is_int) or not frames:
        return None
    return Item(video=video, digest=digest, frames=tuple(frames), text=text)


def _is_list(value: Any, fits: Callable[[Any], bool]) -> TypeGuard[list[Any]]:
    return isinstance(value, list) and all(fits(one) for one in value)
