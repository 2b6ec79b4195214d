"""Where the truth about single images is: in a dataset as it is published, or in a JSON in COCO's format."""

from dataclasses import dataclass
from os.path import exists
from pathlib import Path
from typing import cast

from vdprobe.data.coco_truth import CocoTruth, read_coco_truths
from vdprobe.data.layouts import DATASETS, Layout
from vdprobe.data.refcoco import REFS
from vdprobe.data.sample_truth import SampleTruth, find_sample_truths
from vdprobe.data.video import Failure
from vdprobe.errors import DataError

LAYOUTS: dict[str, tuple[Layout, ...]] = {
    "a2d": ("a2d",),
    "jhmdb": ("jhmdb",),
    "refcoco": cast(tuple[Layout, ...], tuple(REFS)),
}
"""The datasets of each benchmark."""
JSON = {
    "a2d": "a2d_sentences_test_annotations_in_coco_format.json",
    "jhmdb": "jhmdb_sentences_gt_annotations_in_coco_format.json",
    "refcoco": "instances_<dataset>_<split>.json",
}
"""What ReferFormer and VD-IT name the JSON of each; RefCOCO's is one of ReferFormer's converter."""


ImageTruth = CocoTruth | SampleTruth
"""What one text means: `image` is its id, `mask()` where it is, `box` x, y, width, height in pixels if there is one."""


@dataclass(frozen=True)
class ImageTruths:
    """One truth a text, and what has none."""

    truths: tuple[ImageTruth, ...]
    failures: tuple[Failure, ...] = ()


def find_image_truths(dataset: Path, split: str, benchmark: str) -> ImageTruths:
    """The truths of a split of `dataset`, the folder of a dataset; of a JSON all, whatever `split` says.

    RefCOCO may be given as the folder that holds it or, where that holds several, as its own (`coco/refcoco+`). A
    folder that holds no dataset but the JSON of a2d or jhmdb will do. Raises `DataError` where there is none of these
    or several, and as `find_videos` and `read_coco_truths` do.
    """
    if not exists(dataset):
        raise DataError(f"there is no {dataset}; give the folder of the dataset, or its JSON {JSON[benchmark]}")
    if dataset.is_file():
        return ImageTruths(read_coco_truths(dataset))
    places = _places(dataset, benchmark)
    if len(places) > 1:
        raise DataError(f"{dataset} holds several datasets; give {' or '.join(str(dataset / name) for name in places)}")
    for layout, path in places.items():
        return ImageTruths(*find_sample_truths(path, split, layout))
    if (dataset / JSON[benchmark]).is_file():
        return ImageTruths(read_coco_truths(dataset / JSON[benchmark]))
    looks = ", ".join(DATASETS[layout].looks for layout in LAYOUTS[benchmark])
    raise DataError(
        f"{dataset} holds no dataset of '{benchmark}' (looked for {looks}); give the folder that holds it, or its JSON "
        f"{JSON[benchmark]}"
    )


def _places(dataset: Path, benchmark: str) -> dict[Layout, Path]:
    """The datasets of a benchmark that a folder holds, or that it is."""
    places = {layout: dataset for layout in LAYOUTS[benchmark] if DATASETS[layout].is_there(dataset)}
    folder = dataset.absolute()
    own = [layout for layout in LAYOUTS[benchmark] if layout in REFS and layout == folder.name]
    return places or {layout: folder.parent for layout in own if DATASETS[layout].is_there(folder.parent)}
