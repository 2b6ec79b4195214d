"""Predicted masks as PNG files, in the places where each benchmark looks for them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from vdprobe.data.open_picture import MASK_FORMATS, open_picture
from vdprobe.data.video import Video

Benchmark = Literal["plain", "ref-ytvos", "mevis", "davis", "a2d", "jhmdb", "refcoco"]
"""What predictions are for; the last three score single frames, in a JSON of COCO results."""
BENCHMARKS: tuple[Benchmark, ...] = get_args(Benchmark)
OF_LAYOUTS: dict[str, Benchmark] = {
    "ref-ytvos": "ref-ytvos",
    "ref-davis17": "davis",
    "mevis": "mevis",
    "a2d": "a2d",
    "jhmdb": "jhmdb",
    "refcoco": "refcoco",
    "refcoco+": "refcoco",
    "refcocog": "refcoco",
}
"""What the videos of a layout are mostly predicted for; `plain` for the others."""
IN_FRAMES: tuple[Benchmark, ...] = ("a2d", "jhmdb", "refcoco")
MASKS, OBJECTS = "masks", "objects"
"""Folders of an expression's masks each, and of all objects of a video together."""


def expression_folder(out: Path, benchmark: Benchmark, video: str, expression: str) -> Path:
    """Where the masks of an expression lie; for Ref-YouTube-VOS in the folder that its server asks for."""
    return out / MASKS / ("Annotations" if benchmark == "ref-ytvos" else "") / video / expression


def objects_folder(out: Path, place: str) -> Path:
    """Where a video's objects lie together, as one description has them."""
    return out / OBJECTS / place


def frame_files(video: Video, count: int) -> list[str]:
    """The name of each frame's mask: that of the frame, or of a video file its index, `00000.png`."""
    names = [f"{index:05d}" for index in range(count)] if video.frame_names is None else video.frame_names
    return [f"{Path(name).stem}.png" for name in names]


def holds(folder: Path, names: Iterable[str]) -> bool:
    """Whether a folder is there with all of these files."""
    return folder.is_dir() and {file.name for file in folder.iterdir()}.issuperset(names)


def write_mask(path: Path, mask: Bool[np.ndarray, "H W"]) -> None:
    """A grey PNG, 255 where the object is."""
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)


def read_mask(path: Path) -> Bool[np.ndarray, "H W"]:
    """What `write_mask` wrote; raises `DataError` where it was damaged since."""
    with open_picture(path, str(path), MASK_FORMATS, "delete it to have it made again") as image:
        return np.asarray(image) > 0


def write_labels(path: Path, labels: UInt8[np.ndarray, "H W"]) -> None:
    """A palette PNG whose pixels are object numbers, 0 the background, in the colours of PASCAL VOC."""
    image = Image.fromarray(labels)
    image.putpalette(PALETTE)
    image.save(path)


def _voc_colour(number: int) -> tuple[int, int, int]:
    """Bits 0, 3 and 6 of the number are the highest of red, bits 1, 4 and 7 of green, 2 and 5 of blue."""
    return tuple(  # type: ignore[return-value]
        sum((number >> (3 * place + channel) & 1) << (7 - place) for place in range(3)) for channel in range(3)
    )


PALETTE = tuple(value for number in range(256) for value in _voc_colour(number))
