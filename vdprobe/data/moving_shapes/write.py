"""MovingShapes on disk, in the layout of Ref-YouTube-VOS."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from PIL import Image

from vdprobe.data.hold import LOCK, hold
from vdprobe.data.moving_shapes.splits import SPLITS, WORLD, split_seed
from vdprobe.data.moving_shapes.video import ShapesVideo, make_video
from vdprobe.data.object_attributes import META
from vdprobe.data.text_files import read_json
from vdprobe.errors import ConfigError, DataError

QUALITY = 95
"""Of the JPEG files."""
PALETTE = (0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128, 128, 0, 128)
"""RGB of the background and of each object in the masks, as in PASCAL VOC."""
EXPRESSIONS, UNFINISHED = "meta_expressions", ".unfinished"
CHUNK = 16
"""Videos that a process takes at a time."""


def write_moving_shapes(
    folder: str | Path,
    counts: Mapping[str, int],
    *,
    frames: int = 8,
    side: int = 128,
    start: int = 0,
    processes: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    """Writes `counts[split]` videos of each split from number `start` on; gives the number of expressions of each.

    Every split has frames, masks (pixel k is object k), `meta.json` and expressions with the object
    they mean; an expression also has its `difficulty`, a video its `caption`. A split's
    `meta_expressions.json` is written last: a split without it was interrupted. `meta.json` tells the world's version.
    `on_progress` gets (videos written, all videos). With several `processes` a script must guard its main code, as
    `multiprocessing` asks.

    Raises `ConfigError` for a split or number of videos that is not there, and `DataError` for a
    folder that holds anything but what a stopped process has left, or that cannot be written to.
    """
    folder = Path(folder).expanduser()
    _check(folder, counts, frames, side, start)
    with hold(folder):
        mark = folder / UNFINISHED
        if mark.exists():  # by a process that was stopped: what it made is made again
            for name in (*SPLITS, EXPRESSIONS):
                shutil.rmtree(folder / name, ignore_errors=True)
        if any(place.name not in (LOCK, UNFINISHED) for place in folder.iterdir()):
            raise DataError(f"{folder} is there and not empty; give a new folder, or remove what it holds")
        try:
            mark.touch()
            made = _write(folder, counts, frames, side, start, processes, on_progress)
        except OSError as error:
            raise DataError(
                f"cannot write into {folder}: {error.strerror or error}; free space and run it again"
            ) from error
        mark.unlink()
        return made


def _write(
    folder: Path,
    counts: Mapping[str, int],
    frames: int,
    side: int,
    start: int,
    processes: int,
    on_progress: Callable[[int, int], None] | None,
) -> dict[str, int]:
    done, out = 0, {}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for split, count in counts.items():
            write = partial(_write_video, folder / split, split, frames=frames, side=side)
            indices = range(start, start + count)
            written: Iterable[tuple[str, dict[str, Any], dict[str, Any]]] = (
                pool.map(write, indices, chunksize=CHUNK) if processes > 1 else map(write, indices)
            )
            videos, objects = {}, {}
            for id, video, seen in written:
                videos[id], objects[id] = video, seen
                done += 1
                if on_progress is not None:
                    on_progress(done, sum(counts.values()))
            _write_json(folder / split / META, {"world": WORLD, "videos": objects})
            _write_json(folder / EXPRESSIONS / split / "meta_expressions.json", {"videos": videos})
            out[split] = sum(len(video["expressions"]) for video in videos.values())
    return out


def check_world(folder: Path) -> None:
    """Raises `DataError` for a folder with videos of another version of MovingShapes; other datasets are all well.

    Only this version's videos can be made anew, and its figures are not comparable with those of another.
    """
    for file in sorted(folder.glob(f"*/{META}")):
        value = read_json(file)
        videos = value.get("videos") if isinstance(value, Mapping) else None
        if not isinstance(videos, Mapping) or not _are_shapes(videos):
            continue
        world = value.get("world", 1)  # the first version did not say so
        if world != WORLD:
            raise DataError(
                f"{folder} holds videos of version {world} of MovingShapes, this vdprobe makes version {WORLD} with "
                "other texts and sizes: give another folder, or move that one away to have it made anew"
            )


def _are_shapes(videos: Mapping[str, Any]) -> bool:
    objects = next((video.get("objects") for video in videos.values() if isinstance(video, Mapping)), None)
    first = next(iter(objects.values()), None) if isinstance(objects, Mapping) else None
    return isinstance(first, Mapping) and {"category", "colour", "texture", "size"} <= set(first)


def _check(folder: Path, counts: Mapping[str, int], frames: int, side: int, start: int) -> None:
    if not counts:
        raise ConfigError("no split of MovingShapes is named; give a number of videos for one, such as val: 200")
    for split, count in counts.items():
        split_seed(split, start)
        if count < 1:
            raise ConfigError(f"split '{split}' of MovingShapes wants at least 1 video, not {count}")
        split_seed(split, start + count - 1)
    if frames < 1 or side < 16:
        raise ConfigError(f"MovingShapes wants at least 1 frame of 16 pixels a side, not {frames} of {side}")
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is there and not empty; give a new folder, or remove what it holds")


def _write_video(
    folder: Path, split: str, index: int, *, frames: int, side: int
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The video's id and its entries in `meta_expressions.json` and `meta.json`."""
    video = make_video(split, index, frames=frames, side=side)
    stems = [f"{frame:05d}" for frame in range(frames)]
    pictures, masks = folder / "JPEGImages" / video.id, folder / "Annotations" / video.id
    for place in (pictures, masks):
        place.mkdir(parents=True)
    for stem, pixels, labels in zip(stems, video.rendering.frames, video.rendering.labels, strict=True):
        Image.fromarray(pixels).save(pictures / f"{stem}.jpg", quality=QUALITY)
        mask = Image.fromarray(labels)
        mask.putpalette(PALETTE)
        mask.save(masks / f"{stem}.png")
    return video.id, _expressions(video, stems), _objects(video, stems)


def _expressions(video: ShapesVideo, stems: list[str]) -> dict[str, Any]:
    expressions = {
        str(i): {"exp": referral.text, "obj_id": str(referral.object + 1), "difficulty": referral.difficulty}
        for i, referral in enumerate(video.referrals)
    }
    return {"expressions": expressions, "frames": stems, "caption": video.caption}


def _objects(video: ShapesVideo, stems: list[str]) -> dict[str, Any]:
    """Of each object that is seen at all what it looks like, and the frames that show it."""
    objects = {}
    for k, thing in enumerate(video.scene.objects):
        shown = [stem for stem, pixels in zip(stems, video.rendering.visible[:, k], strict=True) if pixels]
        if shown:
            looks = {"category": thing.shape, "colour": thing.colour, "texture": thing.texture, "size": thing.size}
            objects[str(k + 1)] = {**looks, "frames": shown}
    return {"objects": objects}


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value), encoding="utf-8")
    part.replace(path)
