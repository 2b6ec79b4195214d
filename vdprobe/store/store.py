"""`FeatureStore`: the folder that keeps what was computed, one immutable zarr group an item."""

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vdprobe.errors import FeatureError, StoreError, StoreUnusableError, suggest
from vdprobe.specs.canonical import to_plain
from vdprobe.specs.features import FeatureSpec, Item
from vdprobe.store import claims
from vdprobe.store.encoding import STORED
from vdprobe.store.item import StoredItem, load_item
from vdprobe.store.layout import SPEC_FOLDER, item_path, read_json, replace_json, spec_path, to_json
from vdprobe.store.owner import fresh_name
from vdprobe.store.record import read_whole
from vdprobe.store.writer import build, check_features, commit

FORMAT, SCHEMA = "vdprobe feature store", 1

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
ELSEWHERE = "choose another place with --store or VDPROBE_CACHE"


@dataclass(frozen=True)
class StoredSpec:
    """One computation of a store; `spec` and `provenance` are its readable forms."""

    key: str
    path: Path
    spec: dict[str, Any] = field(repr=False, compare=False)
    provenance: dict[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True)
class FeatureStore:
    """A folder of features; `create` gives one to write to, `open` one that must be there."""

    root: Path

    @classmethod
    def create(cls, root: str | Path) -> "FeatureStore":
        """The store at `root`, made if it is absent, after a trial write.

        Raises `StoreUnusableError` when `root` cannot be written to, holds something else, or was
        written by a newer vdprobe.
        """
        root = Path(root).expanduser().absolute()
        head = root / "store.json"
        beside = root / f".store.json.{fresh_name()}"
        try:
            root.mkdir(parents=True, exist_ok=True)
            if not head.exists():
                # Another process may be making the same store: its names are not foreign.
                others = [n for n in os.listdir(root) if not n.startswith(".store.json.")]
                if others and not head.exists():
                    raise StoreUnusableError(
                        f"{root} is not empty and not a vdprobe store (it holds '{min(others)}'); "
                        "choose an empty or new folder with --store or VDPROBE_CACHE"
                    )
                replace_json(head, {"format": FORMAT, "schema": SCHEMA}, beside)
            (root / "tmp").mkdir(exist_ok=True)
            trial = root / "tmp" / fresh_name()
            trial.write_bytes(b"trial")
            trial.unlink()
        except OSError as error:
            with suppress(OSError):
                beside.unlink()
            raise StoreUnusableError(f"cannot write to the store {root}: {error.strerror}; {ELSEWHERE}") from error
        return cls.open(root)

    @classmethod
    def open(cls, root: str | Path) -> "FeatureStore":
        """The store at `root`. Raises `StoreError` if there is none, `StoreUnusableError` if it is too new."""
        root = Path(root).expanduser().absolute()
        head = root / "store.json"
        if not head.exists():
            raise StoreError(f"no feature store at {root}; `vdprobe extract --store {root}` makes one, or {ELSEWHERE}")
        value = read_json(head) or {}
        schema = value.get("schema")
        if value.get("format") != FORMAT or not isinstance(schema, int):
            raise StoreUnusableError(f"{head} is not that of a vdprobe store, or damaged; {ELSEWHERE}")
        if schema > SCHEMA:
            raise StoreUnusableError(
                f"{root} was written by a newer vdprobe (schema {schema}, this one reads {SCHEMA}): upgrade vdprobe"
            )
        return cls(root)

    def write_spec(self, spec: FeatureSpec, provenance: Mapping[str, Any]) -> None:
        """Say in words what the spec's folder holds; the first provenance stays. Raises `StoreUnusableError`."""
        path = spec_path(self.root, spec.key) / "spec.json"
        found = read_spec(path)
        if found is not None and found.key == spec.key:
            return
        try:
            path.parent.mkdir(exist_ok=True)
            value = {"key": spec.key, "spec": to_plain(spec), "provenance": dict(provenance)}
            beside = self.root / "tmp" / fresh_name()
            beside.parent.mkdir(exist_ok=True)
            replace_json(path, value, beside)
        except OSError as error:
            raise self._unusable(path, len(to_json(value)), error) from error

    def is_committed(self, spec_key: str, item: Item) -> bool:
        """Whether a complete item of these full keys is there: record and file sizes, contents unread."""
        return read_whole(item_path(self.root, spec_key, item), spec_key, item.key(spec_key)) is not None

    def write(
        self,
        spec: FeatureSpec,
        item: Item,
        features: Mapping[str, np.ndarray],
        *,
        strides: Mapping[str, int],
        attrs: Mapping[str, Any],
    ) -> bool:
        """Commit one item; True if this call did, False if another had and this copy was dropped.

        - `features`: for each tap of the spec float16 or float32 `(T, F, C, H, W)`, T being the spec's
          timesteps, or 1 where it has none.
        - `strides`: for each tap, pixels of the resized video per feature.
        - `attrs`: JSON values to keep with the item, such as `sigma` and `logsnr`.

        Raises `FeatureError` for features that do not fit the spec, or that the store dtype cannot
        hold, and `StoreUnusableError` when the disk cannot take them; nothing of the item is left.
        """
        check_features(spec, item, features)
        for tap in spec.taps:
            if tap not in strides:
                raise FeatureError(f"no stride for tap '{tap}': {suggest(tap, strides)}")
        if not (spec_path(self.root, spec.key) / "spec.json").exists():
            raise StoreError(f"spec {spec.key[:16]} is not in the store {self.root}; call write_spec before write")
        target = item_path(self.root, spec.key, item)
        built = self.root / "tmp" / fresh_name()
        try:
            build(built, spec, item, features, strides, attrs)
            return commit(built, target, spec.key, item)
        except OSError as error:
            size = np.dtype(STORED[spec.store_dtype]).itemsize * sum(a.size for a in features.values())
            shutil.rmtree(built, ignore_errors=True)
            raise self._unusable(target, size, error) from error
        except BaseException:
            shutil.rmtree(built, ignore_errors=True)
            raise

    def specs(self) -> list[StoredSpec]:
        """The computations of the store, by key; a folder without a valid `spec.json` is left to `verify`."""
        folders = sorted(p for p in self.root.iterdir() if SPEC_FOLDER.fullmatch(p.name))
        return [spec for folder in folders if (spec := read_spec(folder / "spec.json")) is not None]

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

        Damaged ones are not among them; `verify` finds those.
        """
        for spec in self.specs() if spec_key is None else [self.resolve_spec(spec_key)]:
            for path in sorted(spec.path.glob("*/*.zarr")):
                found = load_item(path, spec.key)
                if found is not None:
                    yield found

    def get(self, spec_key: str, item: Item) -> StoredItem:
        """A committed item by full key. Raises `StoreError` when it is absent or damaged."""
        path = item_path(self.root, spec_key, item)
        found = load_item(path, spec_key, item.key(spec_key))
        if found is not None:
            return found
        what = f"video '{item.video}', frames {item.frames[0]}..{item.frames[-1]}, spec {spec_key[:16]}"
        if path.exists():
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

    def _unusable(self, path: Path, size: int, error: OSError) -> StoreUnusableError:
        remedy = "free space or `vdprobe store rm` a spec" if error.errno in NO_SPACE else ELSEWHERE
        try:
            free = f"{shutil.disk_usage(self.root).free:,}"
        except OSError:
            free = "unknown"
        why = error.strerror or str(error)
        return StoreUnusableError(f"cannot write {path}: {why} ({size:,} bytes needed, {free} free); {remedy}")


def read_spec(path: Path) -> StoredSpec | None:
    """The `spec.json` at `path`, None when it is absent, damaged or of another folder."""
    value = read_json(path) or {}
    key, spec, provenance = value.get("key"), value.get("spec"), value.get("provenance")
    if not isinstance(key, str) or not isinstance(spec, dict) or not isinstance(provenance, dict):
        return None
    if len(key) != 64 or key[:16] != path.parent.name:
        return None
    return StoredSpec(key, path.parent, spec, provenance)
