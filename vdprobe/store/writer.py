"""Builds one group beside its place and renames it into place.

The files of a timestep are raw bits and an index (`shard`), so they are written directly, with zarr's own metadata
around them: one thread writes the bits while another goes over the same ones for checksum and extremes.
"""

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from vdprobe.errors import ConfigError, FeatureError, StoreError, suggest
from vdprobe.specs.canonical import to_plain
from vdprobe.specs.features import FeatureSpec, Item, StoreDtype
from vdprobe.specs.layer import TapPlace
from vdprobe.specs.spans import check_spans, is_frame_by_frame
from vdprobe.store.checksum import extend
from vdprobe.store.encoding import STORED, convert, scan, summary
from vdprobe.store.json_files import to_json
from vdprobe.store.layout import check_tap, discard
from vdprobe.store.owner import fresh_name
from vdprobe.store.record import read_whole, write_record
from vdprobe.store.shard import make_index, shard_codec

DIMENSIONS = ("timestep", "map", "channel", "height", "width")
FILL = {"float32": "NaN", "float16": "NaN", "bfloat16": 0x7FC0, "int8": -128}
"""What zarr gives for a chunk that is not there: NaN, or bits that stand for no stored value."""

Files = dict[str, tuple[int, str]]


def check_features(
    spec: FeatureSpec, item: Item, features: Mapping[str, np.ndarray], places: Mapping[str, TapPlace]
) -> None:
    """Raises `FeatureError` unless every tap of the spec, and no other, has its `(T, M, C, H, W)` and its place."""
    for tap in features:
        if tap not in spec.taps:
            raise FeatureError(f"features of tap '{tap}', which the spec does not name: {suggest(tap, spec.taps)}")
    for tap in spec.taps:
        check_tap(tap)
        if tap not in features:
            raise FeatureError(f"video '{item.video}': no features for tap '{tap}'; give one array for each tap")
        if tap not in places:
            raise FeatureError(f"no place for tap '{tap}': {suggest(tap, places)}")
        check_spans(places[tap].spans, len(item.frames), tap)
        shape, rows, maps = features[tap].shape, max(1, len(spec.timesteps)), len(places[tap].spans)
        if len(shape) != 5 or shape[:2] != (rows, maps) or 0 in shape:
            raise FeatureError(
                f"video '{item.video}', tap '{tap}': features have shape {shape}; "
                f"give ({rows} timesteps, {maps} maps, channels, height, width), none of them 0"
            )


def build(
    group: Path,
    spec: FeatureSpec,
    item: Item,
    features: Mapping[str, np.ndarray],
    places: Mapping[str, TapPlace],
    attrs: Mapping[str, Any],
) -> None:
    """Write the whole group. Raises `FeatureError` for values that cannot be stored, and `OSError`."""
    ours = {
        "spec": spec.key,
        "label": spec.label,
        "item": to_plain(item),
        "taps": list(spec.taps),
        "timesteps": list(spec.timesteps),
    }
    if twice := sorted(ours.keys() & attrs.keys()):
        raise ConfigError(f"attribute '{twice[0]}' is written by the store itself; give it another name")
    try:
        head = to_json({"attributes": {**ours, **attrs}, "zarr_format": 3, "node_type": "group"})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"an attribute of video '{item.video}' is not JSON ({error}); give null instead") from error

    files: Files = {}
    pending: list[Future[None]] = []
    group.mkdir(parents=True)
    with ThreadPoolExecutor(1) as pool:

        def later(call: Callable[..., None], *given: Any) -> None:
            pending.append(pool.submit(call, *given))

        for tap in spec.taps:
            where = {
                "tap": tap,
                "stride": int(places[tap].stride),
                "timesteps": list(spec.timesteps),
                "frames": list(item.frames),
                "stored_dtype": spec.store_dtype,
            }
            if not is_frame_by_frame(places[tap].spans):
                where["spans"] = to_plain(places[tap].spans)
            _write_tap(group, tap, features[tap], spec.store_dtype, where, files, later)
    for write in pending:
        write.result()
    _write_small(group, "zarr.json", head, files)
    write_record(group, spec.key, item, files)


def commit(built: Path, target: Path, spec_key: str, item: Item) -> bool:
    """Rename a complete group into its place; False when another whole one stands there already.

    What stands there and is not whole is moved away first: it is damaged and would hide the item.
    """
    for _ in range(16):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(built, target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.ENOENT):
                raise
        else:
            return True
        if read_whole(target, spec_key, item.key(spec_key)) is not None:
            discard(built)
            return False
        aside = built.with_name(fresh_name())
        try:
            os.rename(target, aside)
        except FileNotFoundError:
            continue
        discard(aside)
    raise StoreError(f"{target} changes faster than it can be replaced; stop the other process that removes it")


def _write_tap(
    group: Path,
    tap: str,
    values: np.ndarray,
    dtype: StoreDtype,
    attrs: dict[str, Any],
    files: Files,
    later: Callable[..., None],
) -> None:
    data, scale, stats = convert(values, dtype, tap=tap)
    scans = []
    maps, *one = data.shape[1:]
    index = make_index(maps, data[0, 0].nbytes)
    for t, chunk in enumerate(data):
        path = f"{tap}/c/{t}/0/0/0/0"
        os.makedirs(group / path[:-2])
        later(_write_bits, group / path, chunk, index)
        scans.append(scan(chunk, dtype))
        files[path] = (chunk.nbytes + len(index), f"{extend(scans[-1].crc, index):08x}")
    if scale is None:
        stats = summary(scans, values, dtype, tap=tap)
    else:
        attrs = {**attrs, "scale": f"{tap}.scale"}
        about = {"tap": tap, "meaning": f"'{tap}' times this is the value", "stored_dtype": "float32"}
        os.makedirs(group / f"{tap}.scale/c/0")
        _write_small(group, f"{tap}.scale/c/0/0", scale.tobytes(), files)
        _write_small(
            group,
            f"{tap}.scale/zarr.json",
            _array(scale, scale.shape, _bits("float32"), "float32", about, (_name(0, len(scale)), _name(2, one[0]))),
            files,
        )
    names = [_name(axis, size) for axis, size in enumerate(data.shape)]
    if "spans" not in attrs:
        names[1] = "frame"
    codec = shard_codec((1, 1, *one), _bits(dtype))
    head = _array(data, (1, *data.shape[1:]), codec, dtype, {**attrs, **stats}, names)
    _write_small(group, f"{tap}/zarr.json", head, files)


def _array(
    data: np.ndarray,
    chunk: tuple[int, ...],
    codec: dict[str, Any],
    dtype: StoreDtype,
    attrs: dict[str, Any],
    names: Sequence[str],
) -> bytes:
    """zarr v3 metadata of an array whose files, one a `chunk`, are what `codec` says."""
    return to_json(
        {
            "shape": list(data.shape),
            "data_type": np.dtype(STORED[dtype]).name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": FILL[dtype],
            "codecs": [codec],
            "attributes": attrs,
            "dimension_names": list(names),
            "zarr_format": 3,
            "node_type": "array",
            "storage_transformers": [],
        }
    )


def _bits(dtype: StoreDtype) -> dict[str, Any]:
    """zarr's codec of raw values."""
    if np.dtype(STORED[dtype]).itemsize == 1:
        return {"name": "bytes"}
    return {"name": "bytes", "configuration": {"endian": "little"}}


def _name(axis: int, size: int) -> str:
    """`timestep`, `map_9`, `channel_640`, `height_32`, `width_56`.

    Taps differ in size, and xarray wants one size to a name within a group.
    """
    return DIMENSIONS[axis] if axis == 0 else f"{DIMENSIONS[axis]}_{size}"


def _write_small(group: Path, name: str, content: bytes, files: Files) -> None:
    (group / name).write_bytes(content)
    files[name] = (len(content), f"{extend(0, content):08x}")


def _write_bits(path: Path, bits: np.ndarray, index: bytes) -> None:
    with open(path, "wb") as file:
        file.write(bits.reshape(-1).view(np.uint8).data)
        file.write(index)
