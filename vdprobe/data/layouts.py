"""The layouts that datasets are published in: how each is recognised, what splits it has and how it is read."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, cast

from vdprobe.data.a2d import a2d_splits, is_a2d, load_a2d
from vdprobe.data.jhmdb import is_jhmdb, jhmdb_splits, load_jhmdb
from vdprobe.data.mevis import is_mevis, load_mevis, mevis_splits
from vdprobe.data.ref_davis import is_ref_davis, load_ref_davis, ref_davis_splits
from vdprobe.data.ref_davis17 import is_ref_davis17, load_ref_davis17, ref_davis17_splits
from vdprobe.data.refcoco import REFS, is_refcoco, load_refcoco, refcoco_splits
from vdprobe.data.video import VideoSet

Layout = Literal[
    "auto", "files", "frames", "ref-davis", "ref-ytvos", "ref-davis17", "mevis", "a2d", "jhmdb",
    "refcoco", "refcoco+", "refcocog",
]  # fmt: skip
"""How videos lie on disk; `auto` looks."""


@dataclass(frozen=True)
class Dataset:
    """How a dataset is read.

    - `looks`: what tells it, in words; `is_there`: whether a folder has that.
    - `splits`: those of a folder; `load`: the videos of one of them.
    """

    looks: str
    is_there: Callable[[Path], bool]
    splits: Callable[[Path], list[str]]
    load: Callable[[Path, str], VideoSet]


DATASETS: dict[Layout, Dataset] = {
    "ref-davis": Dataset("meta_expressions/ and JPEGImages/", is_ref_davis, ref_davis_splits, load_ref_davis),
    "ref-ytvos": Dataset("the same, of Ref-YouTube-VOS", is_ref_davis, ref_davis_splits, load_ref_davis),
    "ref-davis17": Dataset(
        "davis_text_annotations/ and JPEGImages/480p/", is_ref_davis17, ref_davis17_splits, load_ref_davis17
    ),
    "mevis": Dataset("<split>/meta_expressions.json and <split>/JPEGImages/", is_mevis, mevis_splits, load_mevis),
    "a2d": Dataset("a2d_sentences_single_frame_<split>_annotations.json", is_a2d, a2d_splits, load_a2d),
    "jhmdb": Dataset("jhmdb_sentences_samples_metadata.json", is_jhmdb, jhmdb_splits, load_jhmdb),
}
"""In order of recognition: what is read alike is taken for the first."""

for _name in REFS:
    DATASETS[cast(Layout, _name)] = Dataset(
        f"{_name}/{REFS[_name]}",
        partial(is_refcoco, name=_name),
        partial(refcoco_splits, name=_name),
        partial(load_refcoco, name=_name),
    )


def datasets_at(path: Path) -> list[Layout]:
    """The datasets whose layout a folder has, without those that are read like another of them."""
    found = [name for name, dataset in DATASETS.items() if dataset.is_there(path)]
    return found[:1] if found[:1] == ["ref-davis"] else found
