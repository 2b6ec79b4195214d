"""The layout of Ref-YouTube-VOS and of Ref-DAVIS17 once converted: frames in folders, expressions in one JSON."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vdprobe.data.expressions import make_expression
from vdprobe.data.folders import FRAME_SUFFIXES, frame_names, list_folder, listed_frame_names, natural_key
from vdprobe.data.names import named_entry
from vdprobe.data.text_files import read_json
from vdprobe.data.video import Expression, Failure, Video, VideoSet, check_id, failure_of
from vdprobe.errors import ConfigError, DataError, shown, suggest

META = "meta_expressions.json"
MOST_FRAMES = 10**9
"""The numbers of frames that a video lists are below."""


def is_ref_davis(path: Path) -> bool:
    """Whether a folder has the layout."""
    return (path / "meta_expressions").is_dir()


def ref_davis_splits(path: Path) -> list[str]:
    """The splits whose expressions are there."""
    meta = path / "meta_expressions"
    return [folder.name for folder in list_folder(meta) if (folder / META).is_file()] if meta.is_dir() else []


def load_ref_davis(path: Path, split: str) -> VideoSet:
    """The videos that `meta_expressions/<split>/meta_expressions.json` lists, with their expressions.

    Frames are looked for in `<split>/JPEGImages/<video>`, `JPEGImages/480p/<video>` and
    `JPEGImages/<video>`, masks in the same places under `Annotations`; a video may have none. A video
    or expression that cannot be used is a failure and the others go on. Raises `ConfigError` for an
    unknown split and `DataError` for a folder without the layout.

    - Ref-YouTube-VOS lists its test videos under `valid` too: those that `test` lists are no part of `valid`
      (202 of 507 videos remain, as in ReferFormer's `inference_ytvos.py`).
    - The file that the authors of Ref-YouTube-VOS share since 2022 has texts for each object instead of
      `expressions`: `{"objects": {"1": {"expressions": [...], "expressions_first_frame": [...]}}}`. They are
      numbered from 0, object by object; a video's frames are those on disk, where it lists none.
    """
    listed = _listed_videos(path, split)  # first: it knows the splits there are
    if split == "valid" and "test" in ref_davis_splits(path):
        test = _listed_videos(path, "test")
        listed = {id: entry for id, entry in listed.items() if id not in test}
    images = _images_folder(path, split)
    masks = next((place for place in _places(path, split, "Annotations") if place.is_dir()), None)
    videos, failures = [], []
    for id, entry in sorted(listed.items()):
        try:
            check_id(id, str(path))
            folder = named_entry(images, id)
            names = _frame_names(folder, entry)
            expressions, broken = _expressions(id, entry, path)
        except DataError as error:
            failures.append(failure_of(id, error))
            continue
        annotations = None if masks is None else named_entry(masks, id)
        annotations = annotations if annotations is not None and annotations.is_dir() else None
        videos.append(Video(id, folder, names, expressions, annotations))
        failures.extend(broken)
    return VideoSet(tuple(videos), tuple(failures))


def _images_folder(path: Path, split: str) -> Path:
    places = _places(path, split, "JPEGImages")
    for place in places:
        if place.is_dir():
            return place
    looked = ", ".join(str(place.relative_to(path)) for place in places)
    raise DataError(f"{path} has no folder of frames (looked for {looked}); unpack the frames there")


def _places(path: Path, split: str, kind: str) -> list[Path]:
    return [path / split / kind, path / kind / "480p", path / kind]


def _listed_videos(path: Path, split: str) -> Mapping[str, Any]:
    file = path / "meta_expressions" / split / META
    if not file.is_file():
        splits = ref_davis_splits(path)
        if splits:
            raise ConfigError(f"{path} has no split '{split}'; {suggest(split, splits)}")
        raise DataError(f"there is no {file}; fetch the expressions of the dataset again")
    return listed_videos(file)


def listed_videos(file: Path) -> Mapping[str, Any]:
    """The entry of each video in a `meta_expressions.json`; raises `DataError` for another file."""
    value = read_json(file)
    videos = value.get("videos") if isinstance(value, Mapping) else None
    if not isinstance(videos, Mapping):
        raise DataError(f'{file} does not hold {{"videos": {{...}}}}; fetch the expressions of the dataset again')
    return videos


def entry_frames(video: str, entry: Any) -> list[str]:
    """The stems of the frames that a video's entry lists; raises `DataError` when it lists none, or one twice.

    They stand there as published (`"00005"`), with the suffix of the file (`"00005.jpg"`), or as numbers (`5`).
    """
    listed = entry.get("frames") if isinstance(entry, Mapping) else None
    if not isinstance(listed, list) or not listed:
        raise DataError(f"{video} lists no frames in {META}; fetch the file again")
    stems = [_stem(frame) for frame in listed]
    if None in stems:
        first = shown(listed[stems.index(None)])
        raise DataError(f"{video} lists the frame {first} in {META}, which is no name and no number; fetch it again")
    if len(set(stems)) < len(stems):
        twice = next(stem for i, stem in enumerate(stems) if stem in stems[:i])
        raise DataError(f"{video} lists the frame {shown(twice)} twice in {META}; fetch the file again")
    return [stem for stem in stems if stem is not None]


def _stem(frame: Any) -> str | None:
    if isinstance(frame, int) and not isinstance(frame, bool) and 0 <= frame < MOST_FRAMES:
        return f"{frame:05d}"
    if not isinstance(frame, str):
        return None
    stem, dot, suffix = frame.rpartition(".")
    return stem if f"{dot}{suffix}".lower() in FRAME_SUFFIXES else frame


def _frame_names(folder: Path, entry: Any) -> tuple[str, ...]:
    unlisted = isinstance(entry, Mapping) and "objects" in entry and "frames" not in entry
    names = listed_frame_names(folder, [] if unlisted else entry_frames(folder.name, entry))
    return frame_names(folder) if unlisted else names


def _expressions(video: str, entry: Mapping[str, Any], path: Path) -> tuple[tuple[Expression, ...], list[Failure]]:
    where = f"{path}, video {video!r}"
    listed = entry.get("expressions", {}) if "objects" not in entry else _of_objects(entry["objects"], where)
    if not isinstance(listed, Mapping):
        raise DataError(f"{path}: the 'expressions' of video {video!r} are no mapping of ids; fetch the file again")
    good, failures = [], []
    for id in sorted(listed, key=natural_key):
        try:
            good.append(_expression(id, listed[id], where))
        except DataError as error:
            failures.append(failure_of(f"{video}/{id}", error))
    return tuple(good), failures


def _of_objects(objects: Any, where: str) -> dict[str, Any]:
    texts = []
    try:
        for id in sorted(objects, key=natural_key):
            for kind in ("expressions", "expressions_first_frame"):
                texts += [{"exp": text, "obj_id": id} for text in objects[id].get(kind, [])]
    except (AttributeError, TypeError) as error:
        raise DataError(f"{where}: its 'objects' are no mapping of ids to texts; fetch the file again") from error
    return {str(i): text for i, text in enumerate(texts)}


def _expression(id: str, value: Any, where: str) -> Expression:
    text = value.get("exp") if isinstance(value, Mapping) else None
    object_id = value.get("obj_id") if isinstance(value, Mapping) else None
    if not isinstance(text, str) or not isinstance(object_id, str | int | None):
        raise DataError(f"{where}: expression {id!r} has no text 'exp' with one 'obj_id'; fetch the file again")
    difficulty = value.get("difficulty")
    if not isinstance(difficulty, str | None):
        raise DataError(f"{where}: the 'difficulty' of expression {id!r} is no word; fetch the file again")
    expression = make_expression(id, text, where, None if object_id is None else (str(object_id),))
    return replace(expression, difficulty=difficulty)
