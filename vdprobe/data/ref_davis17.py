"""Ref-DAVIS17 as published: the folders of DAVIS and four text files, without a conversion."""

import re
from pathlib import Path

from vdprobe.data.expressions import make_expression
from vdprobe.data.folders import frame_names
from vdprobe.data.names import find_name, named_entry
from vdprobe.data.ref_davis import is_ref_davis, load_ref_davis, ref_davis_splits
from vdprobe.data.text_files import read_ids
from vdprobe.data.video import Expression, Failure, LackError, Video, VideoSet, check_id, failure_of
from vdprobe.errors import ConfigError, DataError, suggest

ANNOTATORS = ("annot1", "annot1_full_video", "annot2", "annot2_full_video")
"""Two people, each of the first frame and of the whole video: the order of the four expressions of an object."""
LINE = re.compile(r'(\S+)\s+([0-9]{1,9})\s+"(.*)"')
RENAMED = {"clasic-car": "classic-car", "dog-scale": "dogs-scale", "motor-bike": "motorbike"}
"""Names in the text files to those of the folders."""
SPLITS = {"train": "train", "valid": "val"}
"""Names of splits, as in the converted layout, to those of DAVIS."""


def is_ref_davis17(path: Path) -> bool:
    """Whether a folder has the texts and, in itself or in `DAVIS`, the frames."""
    return (path / "davis_text_annotations").is_dir() and _root(path).is_dir()


def ref_davis17_splits(path: Path) -> list[str]:
    """The splits whose videos are listed."""
    if is_ref_davis(path):
        return ref_davis_splits(path)
    return [name for name, theirs in SPLITS.items() if _list_of(path, theirs).is_file()]


def load_ref_davis17(path: Path, split: str) -> VideoSet:
    """The videos of `ImageSets/2017/{train,val}.txt` with the texts of `davis_text_annotations`.

    `JPEGImages/480p`, `ImageSets` and the masks lie in `path` or in `path/DAVIS`; masks are those of
    `Annotations_unsupervised/480p` where they are there (which the converted layout has too), else of
    `Annotations/480p`. Expression `4 * object + annotator` is, as where ReferFormer's converter puts it, of one of
    the `ANNOTATORS`; objects count from 0, in order of their ids. A folder converted already is read as such.

    What cannot be used is a failure. Raises `ConfigError` for an unknown split, `DataError` for missing files.
    """
    if is_ref_davis(path):
        return load_ref_davis(path, split)
    if split not in SPLITS:
        raise ConfigError(f"Ref-DAVIS17 has no split '{split}'; {suggest(split, SPLITS)}")
    root = _root(path)
    if not root.is_dir():
        raise DataError(f"{path} has no JPEGImages/480p, nor has its folder DAVIS; unpack the frames of DAVIS there")
    texts = [_read_texts(path / "davis_text_annotations" / f"Davis17_{name}.txt") for name in ANNOTATORS]
    masks = next((p for p in (root.parents[1] / "Annotations_unsupervised/480p", _plain(root)) if p.is_dir()), None)
    videos, failures = [], []
    for id in read_ids(_list_of(path, SPLITS[split])):
        expressions, broken = _expressions(id, [file.get(find_name(id, file) or id, {}) for file in texts], path)
        failures += broken
        try:
            folder = named_entry(root, check_id(id, str(_list_of(path, SPLITS[split]))))
            if not folder.is_dir():
                error = f"no frames on disk: there is no folder {folder}; unpack the video there"
                raise LackError(error, "frames missing")
            names = frame_names(folder)
        except DataError as error:
            failures.append(failure_of(id, error))
            continue
        annotations = None if masks is None else named_entry(masks, id)
        annotations = annotations if annotations is not None and annotations.is_dir() else None
        videos.append(Video(id, folder, names, expressions, annotations))
    return VideoSet(tuple(videos), tuple(failures))


def _root(path: Path) -> Path:
    inner = path / "DAVIS" / "JPEGImages" / "480p"
    return inner if inner.is_dir() else path / "JPEGImages" / "480p"


def _plain(root: Path) -> Path:
    return root.parents[1] / "Annotations" / "480p"


def _list_of(path: Path, split: str) -> Path:
    return _root(path).parents[1] / "ImageSets" / "2017" / f"{split}.txt"


def _read_texts(file: Path) -> dict[str, dict[int, list[str]]]:
    """Video to object to its texts."""
    out: dict[str, dict[int, list[str]]] = {}
    for number, line in enumerate(_decode(file).splitlines(), 1):
        if not line.strip():
            continue
        # one space between words, as the converter leaves them
        match = LINE.fullmatch(" ".join(line.split()))
        if match is None:
            raise DataError(f'{file}, line {number}: is not <video> <object id> "<text>"; fetch the file again')
        video, object_id, text = match.groups()
        out.setdefault(RENAMED.get(video, video), {}).setdefault(int(object_id), []).append(text)
    return out


def _decode(file: Path) -> str:
    """The text of a file: two of the four are not UTF-8 but Latin-1."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}; unpack davis_text_annotations.zip there") from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _expressions(
    video: str, texts: list[dict[int, list[str]]], path: Path
) -> tuple[tuple[Expression, ...], list[Failure]]:
    good, failures = [], []
    for place, object_id in enumerate(sorted(set().union(*texts))):
        for annotator, name in enumerate(ANNOTATORS):
            id = str(place * len(ANNOTATORS) + annotator)
            found = texts[annotator].get(object_id, [])
            try:
                if len(found) != 1:
                    what = f"{len(found)} texts for object {object_id} of video '{video}'"
                    raise DataError(f"Davis17_{name}.txt has {what} where it should have one; fetch the file again")
                good.append(make_expression(id, found[0], f"{path}, video {video!r}", (str(object_id),)))
            except DataError as error:
                failures.append(failure_of(f"{video}/{id}", error))
    return tuple(good), failures
