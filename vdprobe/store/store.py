"""`FeatureStore`: the folder that keeps what was computed, one immutable zarr group an item."""

import errno
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vdprobe.errors import StoreError, StoreUnusableError, suggest
from vdprobe.specs.features import FeatureSpec, Item
from vdprobe.specs.layer import TapPlace
from vdprobe.store import claims, head_file, spec_file
from vdprobe.store.encoding import STORED
from vdprobe.store.flush import flush, flush_all, flush_tree
from vdprobe.store.folders import groups, spec_folders
from vdprobe.store.item import StoredItem
from vdprobe.store.json_files import NotJson, replace_json
from vdprobe.store.layout import item_path, spec_path
from vdprobe.store.loading import load_item
from vdprobe.store.location import local_folder
from vdprobe.store.owner import fresh_name
from vdprobe.store.record import read_whole
from vdprobe.store.spec_file import StoredSpec, read_spec
from vdprobe.store.writer import build, check_features, commit

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
ELSEWHERE = "choose another place with --store or VDPROBE_CACHE"


@dataclass(frozen=True)
class FeatureStore:
    """A folder of features; `create` gives one to write to, `open` one that must be there.

    - `verify`: whether each file is compared with its checksum when a process first reads it.
    - `durable`: whether an item is on the disk, and not in the memory of the operating system, once it is committed.
    """

    root: Path
    verify: bool = True
    durable: bool = True

    @classmethod
    def create(cls, root: str | Path, *, verify: bool = True, durable: bool = True) -> "FeatureStore":
        """The store at `root`, made if it is absent, after a trial write.

        Raises `ConfigError` for what is no local path, and `StoreUnusableError` when `root` cannot be written to,
        holds something else, or was written by a newer vdprobe.
        """
        store = cls(local_folder(root), verify, durable)
        root, head = store.root, store.root / head_file.NAME
        try:
            root.mkdir(parents=True, exist_ok=True)
            if not head.exists():
                # Another process may be making the same store: its names are not foreign.
                others = [n for n in os.listdir(root) if not n.startswith(f".{head_file.NAME}.")]
                if others and not head.exists():
                    raise StoreUnusableError(
                        f"{root} is not empty and not a vdprobe store (it holds '{min(others)}'); "
                        "choose an empty or new folder with --store or VDPROBE_CACHE"
                    )
                store.write_head()
            (root / "tmp").mkdir(exist_ok=True)
            trial = root / "tmp" / fresh_name()
            trial.write_bytes(b"trial")
            trial.unlink()
        except OSError as error:
            raise StoreUnusableError(f"cannot write to the store {root}: {error.strerror}; {ELSEWHERE}") from error
        return cls.open(root, verify=verify, durable=durable)

    @classmethod
    def open(
        cls, root: str | Path, *, verify: bool = True, durable: bool = True, mending: bool = False
    ) -> "FeatureStore":
        """The store at `root`.

        - `mending`: also one whose `store.json` is damaged, if it holds a spec that proves that it is a store.

        Raises `ConfigError` for what is no local path, `StoreError` if there is none, `StoreUnusableError` if it is
        damaged or too new.
        """
        store = cls(local_folder(root), verify, durable)
        head = store.root / head_file.NAME
        try:
            head_file.check_head(store.root)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise StoreError(
                f"no feature store at {store.root}; `vdprobe extract --store {store.root}` makes one, or {ELSEWHERE}"
            ) from error
        except OSError as error:
            raise StoreUnusableError(
                f"cannot read {head}: {error.strerror}; make it readable, or {ELSEWHERE}"
            ) from error
        except NotJson as error:
            if not (mending and store.specs()):
                raise StoreUnusableError(
                    f"{head} {error}; `vdprobe store repair` mends that of a store, or {ELSEWHERE}"
                ) from error
        return store

    def write_head(self) -> None:
        """Say that the folder is a store. Raises `StoreUnusableError`."""
        beside = self.root / f".{head_file.NAME}.{fresh_name()}"
        try:
            replace_json(self.root / head_file.NAME, head_file.head_content(), beside, durable=self.durable)
        except OSError as error:
            with suppress(OSError):
                beside.unlink()
            raise StoreUnusableError(f"cannot write to the store {self.root}: {error.strerror}; {ELSEWHERE}") from error

    def has_spec(self, spec: FeatureSpec) -> bool:
        """Whether the store says what the spec's folder holds."""
        found = read_spec(spec_path(self.root, spec.key) / spec_file.NAME)
        return found is not None and found.key == spec.key

    def write_spec(self, spec: FeatureSpec, provenance: Mapping[str, Any]) -> None:
        """Say in words what the spec's folder holds; the first provenance stays. Raises `StoreUnusableError`."""
        if self.has_spec(spec):
            return
        path = spec_path(self.root, spec.key) / spec_file.NAME
        value = spec_file.spec_content(spec, provenance)
        try:
            path.parent.mkdir(exist_ok=True)
            beside = self.root / "tmp" / fresh_name()
            beside.parent.mkdir(exist_ok=True)
            replace_json(path, value, beside, durable=self.durable)
            if self.durable:
                flush(self.root)
        except OSError as error:
            raise self._unusable(path, len(str(value)), error) from error

    def is_committed(self, spec_key: str, item: Item) -> bool:
        """Whether a complete item of these full keys is there: record and file sizes, contents unread."""
        return read_whole(item_path(self.root, spec_key, item), spec_key, item.key(spec_key)) is not None

    def write(
        self,
        spec: FeatureSpec,
        item: Item,
        features: Mapping[str, np.ndarray],
        *,
        places: Mapping[str, TapPlace],
        attrs: Mapping[str, Any],
    ) -> bool:
        """Commit one item; True if this call did, False if another had and this copy was dropped.

        - `features`: for each tap of the spec float16 or float32 `(T, M, C, H, W)`, T being the spec's
          timesteps, or 1 where it has none, and M the maps of the tap.
        - `places`: for each tap, where its maps lie.
        - `attrs`: JSON values to keep with the item, such as `sigma` and `logsnr`.

        Raises `FeatureError` for features that do not fit the spec, or that the store dtype cannot
        hold, and `StoreUnusableError` when the disk cannot take them; nothing of the item is left.
        """
        check_features(spec, item, features, places)
        if not (spec_path(self.root, spec.key) / spec_file.NAME).exists():
            raise StoreError(f"spec {spec.key[:16]} is not in the store {self.root}; call write_spec before write")
        self._raise_schema()
        target = item_path(self.root, spec.key, item)
        built = self.root / "tmp" / fresh_name()
        try:
            build(built, spec, item, features, places, attrs)
            if self.durable:
                flush_tree(built)
            mine = commit(built, target, spec.key, item)
            if self.durable:
                with suppress(FileNotFoundError):  # removed meanwhile
                    flush_all((target.parent, target.parent.parent))
            return mine
        except OSError as error:
            size = np.dtype(STORED[spec.store_dtype]).itemsize * sum(a.size for a in features.values())
            shutil.rmtree(built, ignore_errors=True)
            raise self._unusable(target, size, error) from error
        except BaseException:
            shutil.rmtree(built, ignore_errors=True)
            raise

    def specs(self) -> list[StoredSpec]:
        """The computations of the store, by key; a folder without a valid `spec.json` is left to `verify`."""
        found = (read_spec(folder / spec_file.NAME) for folder in spec_folders(self.root))
        return [spec for spec in found if spec is not None]

    def resolve_spec(self, prefix: str) -> StoredSpec:
        """The one spec whose key starts with `prefix`. Raises `StoreError` when none or several do."""
        specs = self.specs()
        found = [s for s in specs if s.key.startswith(prefix)]
        if len(found) == 1:
            return found[0]
        names = [s.key[:16] for s in found or specs]
        if found:
            raise StoreError(f"spec '{prefix}' is ambiguous in {self.root}: give more of one of {', '.join(names)}")
        raise StoreError(f"no spec '{prefix}' in {self.root}: {suggest(prefix, names) if names else 'it holds none'}")

    def items(self, spec_key: str | None = None) -> Iterator[StoredItem]:
        """The committed items of one spec (a key or its unique prefix) or of all, by video and key.

        Damaged ones, and those in the place of another, are not among them; `verify` finds those. Raises
        `StoreError` for a folder that cannot be read.
        """
        for spec in self.specs() if spec_key is None else [self.resolve_spec(spec_key)]:
            yield from self.items_of(spec)

    def items_of(self, spec: StoredSpec) -> Iterator[StoredItem]:
        """As `items`, of a spec that was found before; none where it is removed meanwhile."""
        for path in groups(spec.path):
            found = load_item(path, spec.key, verify=self.verify)
            if found is not None:
                yield found

    def hidden(self, shown: Collection[Path]) -> list[Path]:
        """The groups that are not among `shown`, since they, or what says of which spec they are, are damaged."""
        found = []
        for folder in spec_folders(self.root):
            spec = read_spec(folder / spec_file.NAME)
            for path in groups(folder):
                lost = path not in shown and (spec is None or load_item(path, spec.key) is None)
                if lost and os.path.lexists(path):
                    found.append(path)
        return found

    def get(self, spec_key: str, item: Item) -> StoredItem:
        """A committed item by full key. Raises `StoreError` when it is absent or damaged."""
        path = item_path(self.root, spec_key, item)
        found = load_item(path, spec_key, item.key(spec_key), verify=self.verify)
        if found is not None:
            return found
        what = f"video '{item.video}', frames {item.frames[0]}..{item.frames[-1]}, spec {spec_key[:16]}"
        if os.path.lexists(path):
            raise StoreError(f"{path} is damaged ({what}); run `vdprobe store repair` and extract it again")
        raise StoreError(f"no features of {what} in {self.root}; run `vdprobe extract` with the spec's file")

    def claim(self, name: str) -> bool:
        """Say that this process works on `name`; False if someone holds it. Advisory: it only orders the work."""
        try:
            return claims.take(self.root, name)
        except OSError as error:
            raise self._unusable(claims.claim_path(self.root, name), 200, error) from error

    def release(self, name: str) -> None:
        """Drop a claim; one that is gone already is no error."""
        try:
            claims.give_back(self.root, name)
        except OSError as error:
            raise self._unusable(claims.claim_path(self.root, name), 0, error) from error

    def _raise_schema(self) -> None:
        """Say that items of today's schema are in the store, so that an older vdprobe leaves it alone."""
        with suppress(OSError, NotJson):  # `open` tells of those
            if head_file.check_head(self.root) < head_file.SCHEMA:
                self.write_head()

    def _unusable(self, path: Path, size: int, error: OSError) -> StoreUnusableError:
        remedy = "free space or `vdprobe store rm` a spec" if error.errno in NO_SPACE else ELSEWHERE
        try:
            free = f"{shutil.disk_usage(self.root).free:,}"
        except OSError:
            free = "unknown"
        why = error.strerror or str(error)
        return StoreUnusableError(f"cannot write {path}: {why} ({size:,} bytes needed, {free} free); {remedy}")
