"""Which masks a benchmark expects: of every video, expression and frame that its JSON lists."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os.path import isfile
from pathlib import Path
from typing import Any

from vdprobe.data.folders import FRAME_SUFFIXES, frame_names
from vdprobe.data.names import named_entry, nfc
from vdprobe.data.pictures import picture_size
from vdprobe.data.ref_davis import META, entry_frames, listed_videos
from vdprobe.data.text_files import read_ids
from vdprobe.data.video import check_id
from vdprobe.errors import DataError


@dataclass(frozen=True)
class Expected:
    """The masks of one folder: `frames` without suffix; `size` (width, height) where the video's frames are at hand."""

    video: str
    frames: tuple[str, ...]
    size: tuple[int, int] | None


def expected_masks(dataset: Path, split: str, benchmark: str) -> dict[str, Expected]:
    """By their folder in the zip; `dataset` is a folder, or the JSON of its expressions.

    Of Ref-YouTube-VOS the split `valid` also lists the videos of `test`, which are not expected. DAVIS as
    it is published lists its sequences in `ImageSets/2017`. Raises `DataError` when nothing is listed.
    """
    listed = dict(_listed(dataset, split, benchmark))
    if not listed:
        raise DataError(f"split '{split}' of {dataset} lists no videos; fetch its JSON again")
    root = "Annotations/" if benchmark == "ref-ytvos" else ""
    out: dict[str, Expected] = {}
    for video, (frames, expressions) in sorted(listed.items()):
        size = _frame_size(dataset, split, video, frames[0])
        places = [video] if benchmark == "davis" else [f"{root}{video}/{expression}" for expression in expressions]
        out |= {place: Expected(video, frames, size) for place in places}
    return out


def _listed(dataset: Path, split: str, benchmark: str) -> Iterator[tuple[str, tuple[tuple[str, ...], list[str]]]]:
    """Frames and expressions of each video."""
    sequences = dataset / "ImageSets" / "2017" / f"{'val' if split == 'valid' else split}.txt"
    if benchmark == "davis" and isfile(sequences):
        for id in read_ids(sequences):
            check_id(id, str(sequences))
            names = frame_names(dataset / "JPEGImages" / "480p" / id)
            yield nfc(id), (tuple(nfc(Path(name).stem) for name in names), [])
        return
    file = _json(dataset, split)
    test = file.parents[1] / "test" / META
    hidden = listed_videos(test) if benchmark == "ref-ytvos" and split == "valid" and test.is_file() else {}
    for id, entry in listed_videos(file).items():
        if id not in hidden:
            yield nfc(check_id(id, str(file))), _entry(id, entry, file)


def _entry(id: str, entry: Any, file: Path) -> tuple[tuple[str, ...], list[str]]:
    frames = entry_frames(id, entry)
    expressions = entry.get("expressions")
    if not isinstance(expressions, Mapping):
        raise DataError(f"{file}: video {id!r} lists no expressions; fetch the file again")
    where = f"{file}, video {id!r}"
    return tuple(nfc(check_id(stem, where)) for stem in frames), [nfc(check_id(text, where)) for text in expressions]


def _json(dataset: Path, split: str) -> Path:
    if isfile(dataset):
        return dataset
    places = [dataset / "meta_expressions" / split, dataset / split, dataset]
    for place in places:
        if isfile(place / META):
            return place / META
    looked = ", ".join(str(place.relative_to(dataset) / META) for place in places)
    raise DataError(f"{dataset} does not say which masks are expected (looked for {looked}); give the JSON itself")


def _frame_size(dataset: Path, split: str, video: str, stem: str) -> tuple[int, int] | None:
    for place in (dataset / split / "JPEGImages", dataset / "JPEGImages" / "480p", dataset / "JPEGImages"):
        for suffix in FRAME_SUFFIXES:
            if (frame := named_entry(place, f"{video}/{stem}{suffix}")).is_file():
                return picture_size(frame)
    return None
