"""What is missing from a dataset folder, or malformed in it: everything is counted, nothing stops at the first."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from os.path import exists
from pathlib import Path

import numpy as np

from vdprobe.data.frames import count_frames
from vdprobe.data.layouts import DATASETS, Layout
from vdprobe.data.masks import VOID, read_labels, read_object_mask, shows_one_object
from vdprobe.data.sources import find_layout, find_videos
from vdprobe.data.video import Expression, Failure, Video, VideoSet, failure_of, normalise_text
from vdprobe.errors import DataError, VdprobeError, one_line

_REFCOCO = {
    "refcoco": {"train": (16994, 42404), "val": (1500, 3811), "testA": (750, 1975), "testB": (750, 1810)},
    "refcoco+": {"train": (16992, 42278), "val": (1500, 3805), "testA": (750, 1975), "testB": (750, 1798)},
    "refcocog": {"train": (21899, 42226), "val": (1300, 2573), "test": (2600, 5023)},
}
PUBLISHED: dict[tuple[str, str], dict[str, int]] = {
    ("ref-ytvos", "train"): {"videos": 3471},
    ("ref-ytvos", "valid"): {"videos": 202},
    ("ref-davis17", "train"): {"videos": 60},
    ("ref-davis17", "valid"): {"videos": 30, "objects": 61, "expressions": 244},
    ("mevis", "train"): {"videos": 1662, "expressions": 23051},
    ("mevis", "valid_u"): {"videos": 50, "expressions": 793},
    ("mevis", "valid"): {"videos": 140, "expressions": 2236},
    ("jhmdb", "test"): {"videos": 928, "expressions": 2784},
} | {
    (name, split): {"videos": images, "objects": objects}
    for name, splits in _REFCOCO.items()
    for split, (images, objects) in splits.items()
}
"""What each split holds in full: by the papers and READMEs of the datasets (MeViS in its first version) and, for
RefCOCO, the table of TensorFlow Datasets. Of A2D-Sentences accounts differ."""

WRONG = (
    "splits that cannot be read",
    "videos that cannot be used",
    "expressions that cannot be used",
    "frames missing",
    "texts empty",
    "expressions without a target",
    "videos without masks",
    "masks missing",
    "masks of another size or kind",
    "masks that cannot be read",
    "objects that are in no mask",
    "counts other than published",
)
REMARKS = (
    "expressions whose objects are not told",
    "expressions that mean nothing in their video",
    "texts that stand twice for the same object",
    "ids in masks that no expression means",
    "videos whose masks hold 0 and 255 alone",
)


@dataclass(frozen=True)
class Finding:
    """`count` of `what` (one of `WRONG`, or of `REMARKS`: nothing is missing), and a line for each place."""

    what: str
    count: int
    lines: tuple[str, ...]

    @property
    def wrong(self) -> bool:
        """Whether something is missing or malformed."""
        return self.what in WRONG


@dataclass(frozen=True)
class SplitCheck:
    """What a split lists, and what of it is there; `videos`, `expressions` and `objects` are those of use."""

    layout: Layout
    split: str
    listed: int
    videos: int
    frames: int
    masks: int
    objects: int
    expressions: int
    findings: tuple[Finding, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing or malformed."""
        return not any(finding.wrong for finding in self.findings)


def check_dataset(
    path: str | Path,
    layout: Layout = "auto",
    split: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[SplitCheck, ...]:
    """Every split of a dataset, or one: reads all lists, and every mask with the header of its frame.

    `on_progress` gets (videos checked, videos of the split). Raises `DataError` for a folder whose layout cannot be
    told, and `ConfigError` for a split that is not there.
    """
    path = Path(path).expanduser()
    if not exists(path):
        raise DataError(f"there is no {path}; give the folder of a dataset")
    layout = find_layout(path, layout)
    if layout not in DATASETS:
        return (_check_split(layout, "", find_videos(path, layout=layout), on_progress),)
    if split is not None:
        return (_check_split(layout, split, find_videos(path, layout=layout, split=split), on_progress),)
    checks = []
    for name in DATASETS[layout].splits(path) or ["valid"]:
        try:
            found = find_videos(path, layout=layout, split=name)
        except VdprobeError as error:
            broken = Finding("splits that cannot be read", 1, (str(error),))
            checks.append(SplitCheck(layout, name, 0, 0, 0, 0, 0, 0, (broken,)))
            continue
        checks.append(_check_split(layout, name, found, on_progress))
    return tuple(checks)


@dataclass
class _Tally:
    """Findings as they come in."""

    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    lines: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    frames: int = 0
    masks: int = 0

    def add(self, what: str, line: str, count: int = 1) -> None:
        self.counts[what] += count
        self.lines[what].append(one_line(line))

    def fail(self, failure: Failure, otherwise: str) -> None:
        self.add(failure.lack or otherwise, f"{failure.where}: {failure.error}", failure.count)

    def findings(self) -> tuple[Finding, ...]:
        return tuple(
            Finding(what, self.counts[what], tuple(self.lines[what])) for what in WRONG + REMARKS if what in self.counts
        )


def _check_split(
    layout: Layout, split: str, found: VideoSet, on_progress: Callable[[int, int], None] | None
) -> SplitCheck:
    tally = _Tally()
    for failure in found.failures:
        kind = "expressions" if "/" in failure.where else "videos"
        tally.fail(failure, f"{kind} that cannot be used")
    hidden = all(expression.object_ids is None for video in found.videos for expression in video.expressions)
    for done, video in enumerate(found.videos, 1):
        _check_texts(video, hidden, tally)
        try:
            tally.frames += count_frames(video)
            _check_masks(video, tally)
        except DataError as error:
            tally.fail(failure_of(video.id, error), "videos that cannot be used")
        if on_progress is not None:
            on_progress(done, len(found.videos))
    expressions = [(video.id, expression) for video in found.videos for expression in video.expressions]
    seen = {
        "videos": len(found.videos),
        "objects": len({(video, id) for video, expression in expressions for id in expression.object_ids or ()}),
        "expressions": len(expressions),
    }
    for name, count in PUBLISHED.get((layout, split), {}).items():
        if seen[name] != count:
            tally.add("counts other than published", f"{seen[name]} {name} of use, published {count}")
    listed = len(found.videos) + sum("/" not in failure.where for failure in found.failures)
    return SplitCheck(layout, split, listed, frames=tally.frames, masks=tally.masks, findings=tally.findings(), **seen)


def _check_texts(video: Video, hidden: bool, tally: _Tally) -> None:
    seen: dict[object, Expression] = {}
    for expression in video.expressions:
        where = f"{video.id}/{expression.id}: '{expression.text}'"
        if expression.object_ids is None:
            tally.add("expressions whose objects are not told" if hidden else "expressions without a target", where)
        elif not expression.object_ids:
            tally.add("expressions that mean nothing in their video", where)
        same = seen.setdefault((normalise_text(expression.text), expression.object_ids, expression.frame), expression)
        if same is not expression:
            tally.add("texts that stand twice for the same object", f"{where}, as {same.id}")


def _check_masks(video: Video, tally: _Tally) -> None:
    meant = {id for expression in video.expressions for id in expression.object_ids or ()}
    if video.annotations is None:
        if meant:
            tally.add("videos without masks", f"{video.id}: no masks of {', '.join(sorted(meant))} are there")
        return
    if isinstance(video.annotations, Path):
        shown = _labels_shown(video, tally)
        told = any(expression.object_ids is not None for expression in video.expressions)
        if told and (others := shown - meant):
            line = f"{video.id}: {', '.join(sorted(others, key=int))}"
            tally.add("ids in masks that no expression means", line, len(others))
    else:
        shown = _objects_shown(video, tally)
    one = shows_one_object(video)
    if one:
        tally.add("videos whose masks hold 0 and 255 alone", f"{video.id}: 255 is read as object '1', as in DAVIS 2016")
    for id in sorted(meant - shown):
        hint = "; 0 and 255 do not tell objects apart: take the masks of DAVIS 2017" if one else ""
        tally.add("objects that are in no mask", f"{video.id}: object '{id}'{hint}")


def _labels_shown(video: Video, tally: _Tally) -> set[str]:
    shown: set[str] = set()
    for frame in range(count_frames(video)):
        try:
            labels = read_labels(video, (frame,))
        except DataError as error:
            tally.fail(failure_of(video.id, error), "masks that cannot be read")
            continue
        tally.masks += 1
        shown.update(str(label) for label in np.flatnonzero(np.bincount(labels.ravel())) if label not in (0, VOID))
    return shown


def _objects_shown(video: Video, tally: _Tally) -> set[str]:
    shown: set[str] = set()
    before = ""
    for id, frame in _annotated(video.expressions, count_frames(video)):
        try:
            mask = read_object_mask(video, (id,), (frame,))
        except DataError as error:
            if str(error) == before:
                return shown  # it is the file of all masks that cannot be read
            before = str(error)
            tally.fail(failure_of(video.id, error), "masks that cannot be read")
            continue
        tally.masks += 1
        if mask.any():
            shown.add(id)
    return shown


def _annotated(expressions: Iterable[Expression], frames: int) -> list[tuple[str, int]]:
    """Each object with each frame in which its mask is to be, once."""
    return list(
        dict.fromkeys(
            (id, frame)
            for expression in expressions
            for id in expression.object_ids or ()
            for frame in (range(frames) if expression.frame is None else (expression.frame,))
        )
    )
