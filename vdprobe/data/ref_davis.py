"""The layout of Ref-DAVIS17 (and Ref-YouTube-VOS): frames in folders, expressions in one JSON."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vdprobe.data.expressions import make_expression
from vdprobe.data.folders import FRAME_SUFFIXES, list_folder, natural_key, with_suffix
from vdprobe.data.text_files import read_json
from vdprobe.data.video import Expression, Failure, Video, VideoSet, check_id
from vdprobe.errors import ConfigError, DataError, suggest


def is_ref_davis(path: Path) -> bool:
    """Whether a folder has the layout."""
    return (path / "meta_expressions").is_dir()


def load_ref_davis(path: Path, split: str) -> VideoSet:
    """The videos that `meta_expressions/<split>/meta_expressions.json` lists, with their expressions.

    Frames are looked for in `<split>/JPEGImages/<video>`, `JPEGImages/480p/<video>` and
    `JPEGImages/<video>`. A video or expression that cannot be used is a failure and the others go
    on. Raises `ConfigError` for an unknown split and `DataError` for a folder without the layout.
    """
    images, listed = _images_folder(path, split), _listed_videos(path, split)
    videos, failures = [], []
    for id, entry in sorted(listed.items()):
        try:
            check_id(id, str(path))
            names = _frame_names(images / id, entry)
            expressions, broken = _expressions(id, entry, path)
        except DataError as error:
            failures.append(Failure(id, str(error)))
            continue
        videos.append(Video(id, images / id, names, expressions))
        failures.extend(broken)
    return VideoSet(tuple(videos), tuple(failures))


def _images_folder(path: Path, split: str) -> Path:
    places = [path / split / "JPEGImages", path / "JPEGImages" / "480p", path / "JPEGImages"]
    for place in places:
        if place.is_dir():
            return place
    looked = ", ".join(str(place.relative_to(path)) for place in places)
    raise DataError(f"{path} has no folder of frames (looked for {looked}); unpack the frames there")


def _listed_videos(path: Path, split: str) -> Mapping[str, Any]:
    meta = path / "meta_expressions"
    file = meta / split / "meta_expressions.json"
    if not file.is_file():
        splits = [folder.name for folder in list_folder(meta) if (folder / "meta_expressions.json").is_file()]
        if split not in splits and splits:
            raise ConfigError(f"{path} has no split '{split}'; {suggest(split, splits)}")
        raise DataError(f"there is no {file}; fetch the expressions of the dataset again")
    value = read_json(file)
    videos = value.get("videos") if isinstance(value, Mapping) else None
    if not isinstance(videos, Mapping):
        raise DataError(f'{file} does not hold {{"videos": {{...}}}}; fetch the expressions of the dataset again')
    return videos


def _frame_names(folder: Path, entry: Any) -> tuple[str, ...]:
    stems = entry.get("frames") if isinstance(entry, Mapping) else None
    if not isinstance(stems, list) or not stems or not all(isinstance(stem, str) for stem in stems):
        raise DataError(f"{folder.name} lists no frames in meta_expressions.json; fetch the file again")
    if not folder.is_dir():
        raise DataError(f"no frames on disk: there is no folder {folder}; unpack the video there")
    by_stem: dict[str, str] = {}
    for file in with_suffix(list_folder(folder), FRAME_SUFFIXES):
        other = by_stem.setdefault(file.stem, file.name)
        if other != file.name:
            raise DataError(f"{folder} holds both {other} and {file.name}; move the one away that is not the frame")
    missing = [stem for stem in stems if stem not in by_stem]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(stems)} frames are missing in {folder}, the first is {missing[0]!r}; "
            "unpack the video again"
        )
    return tuple(by_stem[stem] for stem in stems)


def _expressions(video: str, entry: Mapping[str, Any], path: Path) -> tuple[tuple[Expression, ...], list[Failure]]:
    listed = entry.get("expressions", {})
    if not isinstance(listed, Mapping):
        raise DataError(f"{path}: the 'expressions' of video {video!r} are no mapping of ids; fetch the file again")
    good, failures = [], []
    for id in sorted(listed, key=natural_key):
        try:
            good.append(_expression(id, listed[id], f"{path}, video {video!r}"))
        except DataError as error:
            failures.append(Failure(f"{video}/{id}", str(error)))
    return tuple(good), failures


def _expression(id: str, value: Any, where: str) -> Expression:
    text = value.get("exp") if isinstance(value, Mapping) else None
    object_id = value.get("obj_id") if isinstance(value, Mapping) else None
    if not isinstance(text, str) or not isinstance(object_id, str | int | None):
        raise DataError(f"{where}: expression {id!r} has no text 'exp' with one 'obj_id'; fetch the file again")
    return make_expression(id, text, where, None if object_id is None else str(object_id))
