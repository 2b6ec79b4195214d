"""From a path to the videos in it: what can be used, and what cannot and why."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from os.path import exists
from pathlib import Path

from vdprobe.data.expressions import make_expression, read_expressions
from vdprobe.data.folders import (
    FRAME_SUFFIXES,
    OTHER_SUFFIXES,
    VIDEO_SUFFIXES,
    file_video,
    frames_video,
    list_folder,
    with_suffix,
)
from vdprobe.data.layouts import DATASETS, Layout, datasets_at
from vdprobe.data.names import find_name
from vdprobe.data.video import Failure, Video, VideoSet, check_id, failure_of
from vdprobe.errors import ConfigError, DataError, suggest

__all__ = ["Layout", "VideoSet", "find_videos"]

LAYOUTS = (
    f"'files' (a video file, or a folder of them: {', '.join(VIDEO_SUFFIXES)}), 'frames' (a folder of frames, "
    f"or a folder of such folders: {', '.join(FRAME_SUFFIXES)}), "
    + ", ".join(f"'{name}' ({dataset.looks})" for name, dataset in DATASETS.items())
)


def find_videos(
    path: str | Path,
    *,
    layout: Layout = "auto",
    split: str = "valid",
    only: tuple[str, ...] = (),
    expressions: str | Path | None = None,
    masks: str | Path | None = None,
    rotate: bool = True,
) -> VideoSet:
    """The videos under `path`, sorted by id, and those that are listed but cannot be used.

    `layout` says how they lie there, `auto` tells from what it finds; `split` belongs to the
    `DATASETS`. `only` keeps the videos with these ids. For the layouts that have none, `expressions` is a file
    as `read_expressions` takes it, and `masks` a folder with a folder of masks for each video; `rotate` turns their
    frames as the file asks of players, where a dataset's frames are as stored, like its masks. Raises `DataError` when
    nothing can be found, and `ConfigError` for options that do not fit what is there.
    """
    path = Path(path).expanduser()
    if not exists(path):
        raise DataError(f"there is no {path}; give a video file, a folder of videos or a dataset folder")
    layout = find_layout(path, layout)
    if layout in DATASETS:
        for what, given in (("expressions", expressions), ("masks", masks)):
            if given is not None:
                raise ConfigError(
                    f"{path} brings its own {what}; to use those of {given}, "
                    "give the folder that holds its folders of frames"
                )
        found = DATASETS[layout].load(path, _checked_split(split))
    else:
        found = _find_files(path) if layout == "files" else _find_frames(path)
        if expressions is not None:
            found = _with_expressions(found, Path(expressions).expanduser())
        if masks is not None:
            found = _with_masks(found, Path(masks).expanduser())
    rotate = rotate and layout not in DATASETS
    found = VideoSet(tuple(replace(video, rotate=rotate) for video in found.videos), found.failures)
    if only:
        found = _restrict(found, only)
    return VideoSet(
        tuple(sorted(found.videos, key=lambda video: video.id)),
        tuple(sorted(found.failures, key=lambda failure: failure.where)),
    )


def _checked_split(split: str) -> str:
    try:
        return check_id(split, "split")
    except DataError as error:
        raise ConfigError(str(error)) from error


def find_layout(path: Path, layout: Layout = "auto") -> Layout:
    """`layout` itself, or with `auto` what a file or folder looks like; raises `DataError` when that is not clear."""
    if layout != "auto":
        return layout
    if path.is_file():
        return "files"
    datasets = datasets_at(path)
    if len(datasets) == 1:
        return datasets[0]
    if datasets:
        raise DataError(f"{path} holds several datasets; give layout {' or '.join(datasets)}")
    entries = list_folder(path)
    files = with_suffix(entries, VIDEO_SUFFIXES)
    frames = with_suffix(entries, FRAME_SUFFIXES)
    folders = [folder for folder in entries if folder.is_dir()]
    of_frames = [folder for folder in folders if _holds(folder, FRAME_SUFFIXES)]
    of_files = [folder for folder in folders if folder not in of_frames and _holds(folder, VIDEO_SUFFIXES)]
    frames = frames or of_frames
    if of_files and not files:
        also = f" beside frames ({frames[0].name})" if frames else ""
        raise DataError(f"{path} holds folders of videos{also}; give one of them, such as {of_files[0]}")
    if files and not frames:
        return "files"
    if frames and not files:
        return "frames"
    for entry in entries:
        if entry.is_dir() and (inside := datasets_at(entry)):
            raise DataError(f"{path} is a folder above the dataset; give {entry}, which has layout {inside[0]}")
    found = f"{files[0].name} and {frames[0].name} point to different layouts" if files else "it fits no layout"
    raise DataError(f"cannot tell what {path} holds: {found}; give one of {LAYOUTS}")


def _holds(folder: Path, suffixes: tuple[str, ...]) -> bool:
    try:
        return bool(with_suffix(list_folder(folder), suffixes))
    except DataError:
        return False  # reported as a failure once the layout is known


def _find_files(path: Path) -> VideoSet:
    if path.is_file():
        if path.suffix.lower() not in VIDEO_SUFFIXES:
            raise DataError(
                f"{path} is not one of the video files read ({', '.join(VIDEO_SUFFIXES)}); convert it to mp4"
            )
        return VideoSet((file_video(path),), ())
    entries = list_folder(path)
    files = with_suffix(entries, VIDEO_SUFFIXES)
    if not files:
        raise DataError(f"{path} holds no video file ({', '.join(VIDEO_SUFFIXES)}); check the path or the layout")
    found = _collect(files, file_video, lambda file: file.stem)
    other = [
        Failure(file.name, f"{file}: {file.suffix} files are not read; convert it to mp4")
        for file in with_suffix(entries, OTHER_SUFFIXES)
    ]
    return VideoSet(found.videos, (*found.failures, *other))


def _find_frames(path: Path) -> VideoSet:
    if path.is_file():
        raise DataError(f"{path} is a file, and layout 'frames' needs a folder of frames; use layout 'files'")
    entries = list_folder(path)
    if with_suffix(entries, FRAME_SUFFIXES):
        return VideoSet((frames_video(path),), ())
    folders = [entry for entry in entries if entry.is_dir()]
    if not folders:
        raise DataError(f"{path} holds no frames ({', '.join(FRAME_SUFFIXES)}); check the path or the layout")
    return _collect(folders, frames_video, lambda folder: folder.name)


def _collect(paths: Iterable[Path], make: Callable[[Path], Video], name: Callable[[Path], str]) -> VideoSet:
    videos, failures = [], []
    counts = Counter(name(path) for path in paths)
    for path in paths:
        id = name(path)
        try:
            if counts[id] > 1:
                raise DataError(f"{path} shares its id {id!r} with another file of its folder; rename one of them")
            videos.append(make(path))
        except DataError as error:
            failures.append(failure_of(id, error))
    return VideoSet(tuple(videos), tuple(failures))


def _with_expressions(found: VideoSet, file: Path) -> VideoSet:
    known = [video.id for video in found.videos] + [failure.where for failure in found.failures]
    texts = read_expressions(file, known)
    videos, failures = [], list(found.failures)
    for video in found.videos:
        good = []
        for id, (text, object_ids) in texts.get(video.id, {}).items():
            try:
                good.append(make_expression(id, text, f"{file}, video {video.id!r}", object_ids))
            except DataError as error:
                failures.append(failure_of(f"{video.id}/{id}", error))
        videos.append(replace(video, expressions=tuple(good)))
    return VideoSet(tuple(videos), tuple(failures))


def _with_masks(found: VideoSet, folder: Path) -> VideoSet:
    there = {entry.name for entry in list_folder(folder) if entry.is_dir()}
    names = {video.id: find_name(video.id, there) for video in found.videos}
    if not any(names.values()):
        raise DataError(f"{folder} has no folder of masks named as a video; give the folder above those of the videos")
    videos = [
        replace(video, annotations=None if (name := names[video.id]) is None else folder / name)
        for video in found.videos
    ]
    return VideoSet(tuple(videos), found.failures)


def _restrict(found: VideoSet, only: tuple[str, ...]) -> VideoSet:
    # an expression's failure goes with its video; ids hold no '/', so the video's is before the first
    ids = [video.id for video in found.videos] + [failure.where.partition("/")[0] for failure in found.failures]
    known = sorted(set(ids))
    kept = set()
    for id in only:
        name = find_name(id, known)
        if name is None:
            raise ConfigError(f"there is no video {id!r}; {suggest(id, known)}")
        kept.add(name)
    return VideoSet(
        tuple(video for video in found.videos if video.id in kept),
        tuple(failure for failure in found.failures if failure.where.partition("/")[0] in kept),
    )
