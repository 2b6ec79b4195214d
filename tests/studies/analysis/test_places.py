"""Which object each place of a grid shows, where frames end inside a place, and what expressions mean there."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from planted_store import PlantedItem, cell_of

from vdprobe.data.video import Expression, Video
from vdprobe.extraction.clip_work import ClipWork
from vdprobe.studies.analysis import places
from vdprobe.studies.analysis.places import Meaning, find_places


@pytest.fixture
def clip(tmp_path):
    """Two frames of 20 x 28 pixels: object 3 in the upper left 9 x 9, object 5 in the right 8 columns."""
    labels = np.zeros((20, 28), np.uint8)
    labels[:9, :9] = 3
    labels[:, 20:] = 5
    for kind in ("frames", "masks"):
        (tmp_path / kind).mkdir()
        for k in range(2):
            Image.fromarray(labels).save(tmp_path / kind / f"{k:05d}.png")
    texts = (Expression("0", "the first", ("3",)), Expression("1", "all", ("3", "5")), Expression("2", "none", ("9",)))
    video = Video("v", tmp_path / "frames", ("00000.png", "00001.png"), texts, tmp_path / "masks")
    return ClipWork(video, "d", (0, 1))


class Item(PlantedItem):
    @property
    def attrs(self):
        return {"frame_size": (20, 28)}


def item_of(side):
    return Item(np.zeros((2, 1, -(-20 // side), -(-28 // side)), np.float32), side)


def test_the_object_of_each_place_and_none_where_the_frame_ends(clip):
    """Of the lowest places at stride 8 half lies in the padding, so that nothing fills more than half."""
    found, failures = find_places(cell_of((clip,)), clip, item_of(8))
    assert found.objects == ("3", "5")
    assert found.labels.tolist() == [[[1, 0, -1, -1], [0, 0, -1, -1], [-1, -1, -1, -1]]] * 2
    assert [failure.where for failure in failures] == ["v/2"]
    found, _ = find_places(cell_of((clip,)), clip, item_of(4))
    assert found.labels[0, 0].tolist() == [1, 1, 0, 0, 0, 2, 2]
    assert (found.labels >= 0).all()


def test_what_expressions_mean_and_which_have_features_of_their_own(clip):
    cell = cell_of((clip,))
    found, _ = find_places(cell, clip, item_of(4))
    meanings = (Meaning("0", "the first", (1,)), Meaning("1", "all", (1, 2)))
    assert found.of(cell) == meanings
    assert found.of(cell_of((clip,), "vd-i")) == (Meaning("", None, (1, 2)),)


def test_masks_are_read_once_for_all_cells_of_a_grid(clip, monkeypatch):
    places._find.cache_clear()
    read = []
    real = places.samples_of
    monkeypatch.setattr(places, "samples_of", lambda *what: read.append(what) or real(*what))
    for tap in ("a", "b"):
        for backbone in ("tiny", "random"):
            find_places(cell_of((clip,), tap=tap, backbone=backbone), clip, item_of(4))
    assert len(read) == 1
    find_places(cell_of((clip,)), clip, item_of(8))
    assert len(read) == 2


def test_a_video_without_masks_has_no_places(clip):
    without = ClipWork(replace(clip.video, annotations=None), "d", (0, 1))
    found, (failure,) = find_places(cell_of((without,)), without, item_of(4))
    assert found is None
    assert failure.where == "v[0..1]"
