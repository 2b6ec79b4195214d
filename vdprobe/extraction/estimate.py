"""What a plan costs: bytes from shapes, time from a short measured probe, and whether a cache pays."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vdprobe.data.frames import FrameReader
from vdprobe.data.resize import prepare_frames
from vdprobe.data.video import Failure
from vdprobe.errors import VdprobeError
from vdprobe.extraction.clip_work import ClipWork
from vdprobe.extraction.plan import Plan
from vdprobe.specs.features import STORED_BYTES, FeatureSpec
from vdprobe.specs.layer import Shape
from vdprobe.store.shard import index_size
from vdprobe.store.store import FeatureStore

DISK_PROBE_BYTES = 64 << 20


@dataclass(frozen=True)
class Size:
    """Counts and bytes, of the whole plan and of what is still to do.

    - `tap_bytes`: of the whole plan, for each tap.
    """

    videos: int
    clips: int
    items: int
    items_left: int
    forwards_left: int
    bytes: int
    bytes_left: int
    tap_bytes: dict[str, int]
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class Cost:
    """Seconds, measured on the first clip that is left and scaled by pixels.

    - `compute`: what is left; `read_pass`: reading the whole plan's features once from this disk
      (page cache warm: the best case for the cache); `compute_pass`: computing all of them once.
    - `break_even`: passes over the data after which the cache has paid for itself; None if never.
    """

    compute: float
    stages: dict[str, float]
    write_bytes_per_second: float
    read_bytes_per_second: float
    compute_pass: float
    read_pass: float
    break_even: float | None


def measure_size(plan: Plan, store: FeatureStore | None) -> Size:
    """Exact counts and bytes; reads one frame of each video and no weights."""
    failures = list(plan.failures)
    shapes: dict[tuple[int, int, int], dict[str, Shape]] = {}
    tap_bytes = dict.fromkeys(plan.taps, 0)
    items = items_left = forwards = total = left = 0
    sizes: dict[str, tuple[int, int] | None] = {}
    for clip in plan.clips:
        if clip.video.id not in sizes:
            sizes[clip.video.id] = _padded_size(plan, clip, failures)
        size = sizes[clip.video.id]
        if size is None:
            continue
        for spec in plan.specs:
            all_items = clip.items(spec)
            absent = {item for item in all_items if store is None or not store.is_committed(spec.key, item)}
            todo = len(absent)
            items, items_left = items + len(all_items), items_left + todo
            batches = clip.batches(spec, plan.config.texts_per_forward)
            forwards += len(spec.timesteps) * sum(not absent.isdisjoint(batch) for batch in batches)
            for tap in spec.taps:
                key = (len(clip.frames), *size)
                if key not in shapes:
                    shapes[key] = plan.model.shapes(plan.taps, frames=key[0], height=key[1], width=key[2])
                one = max(1, len(spec.timesteps)) * _chunk_bytes(shapes[key][tap], spec)
                tap_bytes[tap] += one * len(all_items)
                total, left = total + one * len(all_items), left + one * todo
    return Size(
        videos=len({clip.video.id for clip in plan.clips}),
        clips=len(plan.clips),
        items=items,
        items_left=items_left,
        forwards_left=forwards,
        bytes=total,
        bytes_left=left,
        tap_bytes=tap_bytes,
        failures=tuple(failures),
    )


def _padded_size(plan: Plan, clip: ClipWork, failures: list[Failure]) -> tuple[int, int] | None:
    try:
        with FrameReader(clip.video) as reader:
            prepared = prepare_frames(reader.read(clip.frames[:1]), plan.config.resize)
    except VdprobeError as error:
        failures.append(Failure(clip.video.id, str(error)))
        return None
    return prepared.pixels.shape[-2], prepared.pixels.shape[-1]


def _chunk_bytes(shape: Shape, spec: FeatureSpec) -> int:
    """The size of the file of one timestep: its values and the index of its maps."""
    return int(np.prod(shape)) * STORED_BYTES[spec.store_dtype] + index_size(shape[0])


def measure_cost(plan: Plan, size: Size, folder: Path) -> Cost | None:
    """Loads the model, times the stages of the first clip and one forward, and times the disk.

    None when the plan has no clip to try.
    """
    from vdprobe.extraction.probe import time_clip

    if not plan.clips or not size.items:
        return None
    stages = time_clip(plan, plan.clips[0])
    share = len(plan.clips) * float(np.mean([len(c.frames) for c in plan.clips])) / len(plan.clips[0].frames)
    forwards_pass = sum(
        len(spec.timesteps) * sum(1 for _ in clip.batches(spec, plan.config.texts_per_forward))
        for clip in plan.clips
        for spec in plan.specs
    )
    fixed = stages["decode"] + stages["encode"]
    compute_pass = share * fixed + forwards_pass * stages["forward"]
    compute_left = compute_pass * size.items_left / size.items
    write, read = disk_speed(folder)
    read_pass = size.bytes / read
    invested = compute_pass + size.bytes / write
    return Cost(
        compute=compute_left,
        stages=stages,
        write_bytes_per_second=write,
        read_bytes_per_second=read,
        compute_pass=compute_pass,
        read_pass=read_pass,
        break_even=invested / (compute_pass - read_pass) if compute_pass > read_pass else None,
    )


def disk_speed(folder: Path) -> tuple[float, float]:
    """(write, read) bytes a second of one file where `folder` is or will be, through the page cache."""
    block = np.random.default_rng(0).integers(0, 256, DISK_PROBE_BYTES, dtype=np.uint8)
    path = existing(folder) / f".vdprobe-disk-probe-{os.getpid()}"
    try:
        write = _seconds(lambda: block.tofile(path))
        read = _seconds(lambda: np.fromfile(path, dtype=np.uint8))
    finally:
        path.unlink(missing_ok=True)
    return DISK_PROBE_BYTES / write, DISK_PROBE_BYTES / read


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def free_bytes(folder: Path) -> int:
    """Free space where `folder` is, or will be."""
    return shutil.disk_usage(existing(folder)).free


def existing(folder: Path) -> Path:
    """The nearest folder above that is there."""
    folder = folder.absolute()
    while not folder.is_dir():
        folder = folder.parent
    return folder
