"""Which videos a protocol scores, and the masks it scores them against."""

from dataclasses import replace
from os.path import exists
from pathlib import Path

from vdprobe.data.folders import frames_video, list_folder
from vdprobe.data.names import find_name, named_entry
from vdprobe.data.sources import find_videos
from vdprobe.data.text_files import read_ids
from vdprobe.data.video import Video, VideoSet, check_id, failure_of
from vdprobe.errors import ConfigError, DataError, suggest

MASKS = {
    "davis-semi": "Annotations",
    "davis-unsup": "Annotations_unsupervised",
    "refdavis-referformer": "Annotations_unsupervised",
}
"""Which masks of DAVIS a protocol takes, where the dataset holds those of both its tasks."""


def benchmark_videos(dataset: Path, split: str, protocol: str, only: tuple[str, ...] = ()) -> VideoSet:
    """The videos of a split: of any dataset that `find_videos` knows, or for `davis-...` of DAVIS as published.

    Raises as `find_videos` does.
    """
    if not exists(dataset):
        raise DataError(f"there is no {dataset}; give the folder of the dataset")
    if protocol in ("davis-semi", "davis-unsup") and (dataset / "ImageSets" / "2017").is_dir():
        found = _davis(dataset, split, only)
    else:
        found = find_videos(dataset, split=split, only=only)
    videos = tuple(_with_masks(video, dataset / MASKS.get(protocol, "-") / "480p") for video in found.videos)
    return VideoSet(videos, found.failures)


def _with_masks(video: Video, masks: Path) -> Video:
    own = named_entry(masks, video.id)
    return replace(video, annotations=own) if own.is_dir() else video


def _davis(dataset: Path, split: str, only: tuple[str, ...]) -> VideoSet:
    """The sequences of `ImageSets/2017/<split>.txt`; the split `valid` is `val` there."""
    sets = dataset / "ImageSets" / "2017"
    name = "val" if split == "valid" else split
    splits = [file.stem for file in list_folder(sets) if file.suffix == ".txt"]
    if name not in splits:
        raise ConfigError(f"{dataset} has no split '{name}'; {suggest(name, splits)}")
    ids = read_ids(sets / f"{name}.txt")
    kept = []
    for id in only:
        if (known := find_name(id, ids)) is None:
            raise ConfigError(f"there is no video {id!r}; {suggest(id, ids)}")
        kept.append(known)
    videos, failures = [], []
    for id in sorted(set(kept or ids)):
        try:
            folder = named_entry(dataset / "JPEGImages" / "480p", check_id(id, str(sets / f"{name}.txt")))
            videos.append(replace(frames_video(folder), id=id))
        except DataError as error:
            failures.append(failure_of(id, error))
    return VideoSet(tuple(videos), tuple(failures))
