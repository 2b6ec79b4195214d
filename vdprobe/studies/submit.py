"""Zips for the benchmarks' servers: written from a folder or zip of masks, and checked file by file."""

import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from os.path import exists, isdir
from pathlib import Path, PurePosixPath

import numpy as np

from vdprobe.data.open_picture import MASK_FORMATS, open_picture
from vdprobe.data.predictions import MOST_BYTES, PredictionFiles, open_predictions, stands_twice
from vdprobe.data.zip_members import MemberError, is_unsafe
from vdprobe.errors import ConfigError, DataError, one_line, shown, suggest
from vdprobe.studies.expected_masks import Expected, expected_masks
from vdprobe.studies.processes import spread

LAYOUTS: Mapping[str, str] = {
    "ref-ytvos": "Annotations/<video>/<expression>/<frame>.png",
    "mevis": "<video>/<expression>/<frame>.png",
    "davis": "<video>/<frame>.png",
}
"""What each benchmark's zip holds, from its root on, and nothing else."""
DAVIS_OBJECTS = 20
"""The most that the unsupervised task takes."""
SYSTEM = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
CHUNK = 512
"""Masks that a process checks at a time."""


@dataclass(frozen=True)
class Fault:
    """A kind of fault: the first that has it, how many have, and what to do."""

    kind: str
    first: str
    count: int
    remedy: str


@dataclass(frozen=True)
class Submission:
    """A zip; one with `faults` must not be sent in, and is not written.

    - `left_out`: files of the predictions that do not belong in it.
    - `notes`: what could not be checked.
    """

    path: Path
    masks: int
    faults: tuple[Fault, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def write_submission(
    predictions: Path,
    benchmark: str,
    out: Path,
    *,
    dataset: Path | None = None,
    split: str = "valid",
    workers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> Submission:
    """Writes the zip `out` from a folder or zip of masks, byte for byte, once it is found to be without faults.

    Takes what lies in the benchmark's layout, with or without the folder `Annotations`, and of that what
    `dataset` asks for, if it is given. The same masks make the same zip. Raises `DataError` when there is
    nothing to take, or `out` is there; otherwise as `check_submission`.
    """
    layout = _layout(benchmark)
    check_new_zip(out)
    expected = None if dataset is None else expected_masks(dataset, split, benchmark)
    part = out.with_suffix(".zip.part")
    try:
        with open_predictions(predictions) as files, zipfile.ZipFile(part, "w") as archive:
            names = files.names()
            _check_names(predictions, names)
            chosen = _choose(names, layout, expected)
            if not chosen:
                raise DataError(
                    f"{predictions} holds nothing for '{benchmark}': looked for {layout}, and it holds "
                    f"{', '.join(names[:3]) or 'nothing'}; give the folder in which those lie"
                )
            for target, source in chosen.items():
                # a ZipInfo of its own has a fixed date; PNG is compressed already
                archive.writestr(zipfile.ZipInfo(target), files.read(source) or b"")
        checked = _check(part, benchmark, expected, workers, on_progress)
        if not checked.faults:
            part.replace(out)
    except OSError as error:
        raise DataError(f"cannot write {out}: {error.strerror}; give another --out") from error
    finally:
        part.unlink(missing_ok=True)
    left_out = tuple(one_line(name) for name in sorted(set(names) - set(chosen.values())))
    return Submission(out, checked.masks, checked.faults, left_out, checked.notes)


def _check_names(predictions: Path, names: Sequence[str]) -> None:
    """Raises `DataError` for a mask that a zip must not hold under its name, or that stands there twice."""
    unsafe = next((name for name in names if name.endswith(".png") and is_unsafe(name)), None)
    if unsafe is not None:
        raise DataError(f"{predictions} holds {shown(unsafe)}, an unsafe name; {REMEDIES['unsafe name']}")
    twice = stands_twice(names)
    if twice is not None:
        raise DataError(f"{predictions} holds {shown(twice)} twice; {REMEDIES['file twice']}")


def check_new_zip(path: Path) -> None:
    """Raises `DataError` for what is no .zip, or is there already."""
    if path.suffix != ".zip" or exists(path):
        raise DataError(f"{path} is {'there already' if exists(path) else 'no .zip'}; give a new .zip")


def check_submission(
    path: Path,
    benchmark: str,
    *,
    dataset: Path | None = None,
    split: str = "valid",
    workers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> Submission:
    """Every fault of a zip: of its layout, of each mask's kind, values and size, and of what is missing.

    Which masks there must be, and at which size, is only known from a `dataset`: its folder, or the JSON
    of its expressions. `on_progress` gets (masks checked, all of them). Raises `DataError` for what is no
    zip, and `ConfigError` for an unknown benchmark or split.
    """
    _layout(benchmark)
    if isdir(path):
        raise DataError(f"{path} is a folder; give a zip, or write one with --out")
    expected = None if dataset is None else expected_masks(dataset, split, benchmark)
    return _check(path, benchmark, expected, workers, on_progress)


def _layout(benchmark: str) -> str:
    if benchmark not in LAYOUTS:
        raise ConfigError(f"there is no benchmark '{benchmark}' with a zip; {suggest(benchmark, LAYOUTS)}")
    return LAYOUTS[benchmark]


def _choose(names: Iterable[str], layout: str, expected: Mapping[str, Expected] | None) -> dict[str, str]:
    """Name in the zip to name in the predictions."""
    names = list(names)
    root = "Annotations/" if any(name.startswith("Annotations/") for name in names) else ""
    wanted = "Annotations/" if layout.startswith("Annotations/") else ""
    chosen = {}
    for name in names:
        target = wanted + name.removeprefix(root)
        if not name.startswith(root) or _misplaced(target, layout):
            continue
        place, stem = str(PurePosixPath(target).parent), PurePosixPath(target).stem
        if expected is None or (place in expected and stem in expected[place].frames):
            chosen[target] = name
    return dict(sorted(chosen.items()))


def _check(
    path: Path,
    benchmark: str,
    expected: Mapping[str, Expected] | None,
    workers: int,
    on_progress: Callable[[int, int], None] | None,
) -> Submission:
    layout = LAYOUTS[benchmark]
    with open_predictions(path) as files:
        listed = files.names()
    names = sorted(set(listed))
    misplaced = {name: kind for name in names if (kind := _misplaced(name, layout)) is not None}
    masks = [name for name in names if name not in misplaced]
    inspect = partial(_inspect, path, benchmark)
    inspected = dict(chain.from_iterable(spread(inspect, masks, chunk=CHUNK, workers=workers, on_progress=on_progress)))
    found = [(kind, name) for name, kind in misplaced.items()]
    found += [("file twice", name) for name, count in Counter(listed).items() if count > 1]
    found += [(kind, name) for name, (_, kinds) in inspected.items() for kind in kinds]
    found += _odd_sizes({name: size for name, (size, _) in inspected.items() if size}, expected or {}, benchmark)
    notes = []
    if expected is None:
        notes.append("nothing says which masks there must be, and of which size; give --dataset to check that too")
    else:
        found += _unlike(masks, expected)
        if not any(wanted.size for wanted in expected.values()):
            notes.append("the dataset has no frames here, so sizes are only compared with each other")
    return Submission(path, len(masks), _sum_up(found, layout), (), tuple(notes))


def _misplaced(name: str, layout: str) -> str | None:
    """The kind of fault of a file that does not lie in the layout."""
    parts, wanted = name.split("/"), layout.split("/")
    if any(part in SYSTEM or part.startswith("._") for part in parts):
        return "file of the system"
    if is_unsafe(name.removesuffix("/")):
        return "unsafe name"
    if not name.endswith(".png") or not all(parts):
        return "not in the layout"
    if wanted[0] == "Annotations":
        if parts[0] != "Annotations":
            return "folder too many" if "Annotations" in parts else "no folder Annotations"
    elif parts[0] == "Annotations":
        return "folder too many"
    if len(parts) == len(wanted):
        return None
    return "folder too many" if len(parts) > len(wanted) else "not in the layout"


def _inspect(
    path: Path, benchmark: str, names: list[str]
) -> list[tuple[str, tuple[tuple[int, int] | None, list[str]]]]:
    """(width, height) and kinds of fault of each mask."""
    with open_predictions(path) as files:
        return [(name, _inspect_member(files, name, benchmark)) for name in names]


def _inspect_member(files: PredictionFiles, name: str, benchmark: str) -> tuple[tuple[int, int] | None, list[str]]:
    try:
        content = files.read(name)
    except MemberError as error:
        return None, [error.kind]
    return _inspect_mask(lambda: content, benchmark)


def _inspect_mask(read: Callable[[], bytes | None], benchmark: str) -> tuple[tuple[int, int] | None, list[str]]:
    try:
        data = read() or b""
        with open_picture(data, "the mask", MASK_FORMATS, "write it again") as image:
            mode, size, values = image.mode, image.size, np.unique(np.asarray(image))
    except DataError:
        return None, ["no readable PNG"]
    if benchmark == "davis":
        if mode != "P":
            return size, ["not a palette PNG"]
        return size, ["object number too high"] if values.max() > DAVIS_OBJECTS else []
    if mode != "L":
        return size, ["not a grey PNG"]
    if benchmark == "ref-ytvos":
        return size, [] if set(values.tolist()) <= {0, 255} else ["values other than 0 and 255"]
    return size, [] if np.count_nonzero(values) <= 1 else ["more than two values"]


def _odd_sizes(
    sizes: Mapping[str, tuple[int, int]], expected: Mapping[str, Expected], benchmark: str
) -> Iterator[tuple[str, str]]:
    """Masks of another size than the video's frames, or, where those are not known, than its first mask."""
    by_video: dict[str, tuple[int, int]] = {}
    for name, size in sizes.items():
        place = name.rpartition("/")[0]
        video = place if benchmark == "davis" else place.rpartition("/")[0]
        known = expected[place].size if place in expected else None
        if size != (known or by_video.setdefault(video, size)):
            yield "another size", name


def _unlike(masks: list[str], expected: Mapping[str, Expected]) -> Iterator[tuple[str, str]]:
    """What is missing, as the largest thing that is missing whole, and what is there but not asked for."""
    there: dict[str, set[str]] = {}
    for name in masks:
        place, _, file = name.rpartition("/")
        there.setdefault(place, set()).add(file.removesuffix(".png"))
    for place, stems in there.items():
        asked = expected[place].frames if place in expected else ()
        yield from (("not asked for", f"{place}/{stem}.png") for stem in sorted(stems.difference(asked)))
    videos = {wanted.video for place, wanted in expected.items() if place in there}
    gone = set()
    for place, wanted in expected.items():
        if wanted.video not in videos:
            if wanted.video not in gone:
                yield "video missing", wanted.video
            gone.add(wanted.video)
        elif place not in there:
            yield "expression missing", place
        else:
            yield from (("frame missing", f"{place}/{s}.png") for s in wanted.frames if s not in there[place])


def _sum_up(found: Iterable[tuple[str, str]], layout: str) -> tuple[Fault, ...]:
    by_kind: dict[str, list[str]] = {}
    for kind, name in found:
        by_kind.setdefault(kind, []).append(name)
    return tuple(
        Fault(kind, one_line(names[0]), len(names), REMEDIES[kind].format(layout=layout))
        for kind in REMEDIES
        if (names := by_kind.get(kind, []))
    )


REMEDIES = {
    "file of the system": "leave it out: zip on the command line, on macOS with -x '.*' -x '__MACOSX'",
    "unsafe name": "name it without '..', '\\', a drive, an empty part or control characters",
    "folder too many": "from the root on a zip holds {layout}: zip inside the folder, not the folder",
    "no folder Annotations": "from the root on a zip holds {layout}: zip the folder Annotations itself",
    "not in the layout": "from the root on a zip holds {layout}, and nothing else",
    "file twice": "write the zip anew instead of adding to it",
    "video missing": "predict it; where nothing is found, write empty masks",
    "expression missing": "predict it; where nothing is found, write empty masks",
    "frame missing": "predict it; where nothing is found, write an empty mask",
    "not asked for": "leave it out: the dataset lists no such video, expression or frame",
    "link": "put the file itself into the zip, not a link to it",
    "too large": f"write masks of at most {MOST_BYTES:,} bytes",
    "no readable PNG": "write the mask again",
    "not a grey PNG": "save masks as 8-bit grey PNG (Pillow: mode 'L')",
    "not a palette PNG": "save masks as indexed PNG with a palette (Pillow: mode 'P')",
    "values other than 0 and 255": "write 255 for the object and 0 elsewhere, with no grey between",
    "more than two values": "write one value for the object and 0 elsewhere, with no grey between",
    "object number too high": f"number the objects from 1; {DAVIS_OBJECTS} is the most, and 255 is not for predictions",
    "another size": "write masks at the size of the video's frames",
}
"""Every kind of fault, in the order of the report, and what to do about it."""
