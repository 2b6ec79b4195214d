"""The features of one spec as HDF5 or safetensors, for readers that know neither zarr nor vdprobe."""

import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from vdprobe.errors import StoreError
from vdprobe.store.check import verify_group
from vdprobe.store.folders import groups
from vdprobe.store.hdf5_target import Hdf5Target
from vdprobe.store.item import StoredItem
from vdprobe.store.layout import discard
from vdprobe.store.loading import load_item
from vdprobe.store.owner import fresh_name
from vdprobe.store.spec_file import StoredSpec
from vdprobe.store.store import FeatureStore

SAFETENSORS = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "int8": "I8"}


def export_hdf5(store: FeatureStore, spec_key: str, file: Path) -> int:
    """Write all items of a spec (key or unique prefix) to one HDF5 file; gives how many.

    Groups are `<video>/<item key>`, datasets `<tap>` with `(timestep, frame, channel, height, width)`
    and the attributes of the store; what HDF5 has no type for is JSON text. bfloat16 is uint16 bits
    with attribute `stored_dtype`, int8 comes with `<tap>.scale`. Raises `StoreError` when the file
    is there already, the disk cannot take it, or an item is damaged; a store without `verify` compares no checksums.
    """
    import h5py

    spec, items, beside = _start(store, spec_key, file)
    try:
        # The earliest format caps an attribute at 64 KiB; that of HDF5 1.8 does not.
        with closing(Hdf5Target(beside)) as target, h5py.File(target, "w", libver=("v108", "latest")) as out:
            _set_attributes(out, {"key": spec.key, "spec": spec.spec, "provenance": spec.provenance})
            for item in items:
                group = out.create_group(f"{item.path.parent.name}/{item.path.stem}")
                _set_attributes(group, item.attrs)
                for tap in item.taps:
                    rows = list(_rows(item, tap))
                    data = group.create_dataset(tap, (len(rows), *rows[0].shape), rows[0].dtype)
                    for t, row in enumerate(rows):
                        data[t] = row
                        target.check()
                    _set_attributes(data, item.tap_attrs(tap))
                    if (scale := item.scale(tap)) is not None:
                        group.create_dataset(f"{tap}.scale", data=scale)
        target.check()
        os.rename(beside, file)
    except OSError as error:
        raise StoreError(f"cannot export to {file}: {error}; choose another place") from error
    finally:
        discard(beside)
    return len(items)


def export_safetensors(store: FeatureStore, spec_key: str, folder: Path) -> int:
    """Write each item of a spec (key or unique prefix) to `<folder>/<video>/<item key>.safetensors`; gives how many.

    Tensors are `<tap>` with `(timestep, frame, channel, height, width)`, bfloat16 as such, int8 with
    `<tap>.scale` `(timestep, channel)`. The metadata holds the attributes of the item and of its taps
    as JSON, `spec.json` beside them the spec. Raises `StoreError` as `export_hdf5` does.
    """
    spec, items, beside = _start(store, spec_key, folder)
    try:
        for item in items:
            path = beside / item.path.parent.name / f"{item.path.stem}.safetensors"
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_safetensors(item, path)
        about = {"key": spec.key, "spec": spec.spec, "provenance": spec.provenance}
        (beside / "spec.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        os.rename(beside, folder)
    except OSError as error:
        raise StoreError(f"cannot export to {folder}: {error}; choose another place") from error
    finally:
        discard(beside)
    return len(items)


def _start(store: FeatureStore, spec_key: str, target: Path) -> tuple[StoredSpec, list[StoredItem], Path]:
    """The spec, its items and the name to build under, once all that can be checked first is."""
    spec = store.resolve_spec(spec_key)
    if os.path.lexists(target):
        raise StoreError(f"{target} is there already; remove it or choose another name")
    if not target.absolute().parent.is_dir():
        raise StoreError(f"{target.absolute().parent} is no folder; make it before exporting to it")
    items = []
    for group in groups(spec.path):
        for finding in verify_group(group, spec) if store.verify else ():
            raise StoreError(f"{group}: {finding.problem}; run `vdprobe store repair` and extract {finding.item} again")
        item = load_item(group, spec.key, verify=False)
        if item is not None:
            items.append(item)
        elif os.path.lexists(group):
            raise StoreError(f"{group} is damaged; run `vdprobe store repair` and extract it again")
    if not items:
        raise StoreError(f"spec {spec.key[:16]} has no items in {store.root}; run `vdprobe extract` with its file")
    return spec, items, target.with_name(f".{target.name}.{fresh_name()}")


def _rows(item: StoredItem, tap: str) -> Iterator[np.ndarray]:
    """The stored bits of each timestep, `(F, C, H, W)`."""
    for timestep in item.tap_attrs(tap)["timesteps"] or [None]:
        yield item.raw(tap, timestep)


def _set_attributes(target: Any, attrs: dict[str, Any]) -> None:
    for name, value in attrs.items():
        numbers = isinstance(value, list) and value and all(isinstance(v, int | float) for v in value)
        plain = numbers or isinstance(value, str | int | float)
        target.attrs[name] = value if plain else json.dumps(value)


def _write_safetensors(item: StoredItem, path: Path) -> None:
    """By hand: a JSON header, then the mapped files as they are. numpy has no bfloat16 to hand to the library."""
    attrs = {tap: item.tap_attrs(tap) for tap in item.taps}
    header: dict[str, Any] = {"__metadata__": {"item": json.dumps(item.attrs), "taps": json.dumps(attrs)}}
    pieces: list[np.ndarray] = []
    end = 0

    def add(name: str, dtype: str, shape: tuple[int, ...], data: list[np.ndarray]) -> None:
        nonlocal end
        start, end = end, end + sum(piece.nbytes for piece in data)
        header[name] = {"dtype": SAFETENSORS[dtype], "shape": shape, "data_offsets": [start, end]}
        pieces.extend(data)

    for tap in item.taps:
        rows = list(_rows(item, tap))
        add(tap, attrs[tap]["stored_dtype"], (len(rows), *rows[0].shape), rows)
        if (scale := item.scale(tap)) is not None:
            add(f"{tap}.scale", "float32", scale.shape, [scale])
    text = json.dumps(header).encode("ascii")
    text += b" " * (-len(text) % 8)  # the data starts at a multiple of 8 bytes
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for piece in pieces:
            file.write(piece.reshape(-1).view(np.uint8).data)
