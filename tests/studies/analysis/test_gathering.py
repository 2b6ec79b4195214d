"""Units of cells: measured once each, and gone on with after a stop."""

import pytest
from planted_store import cell_of, spec_of

from vdprobe.data.video import Failure, Video
from vdprobe.extraction.clip_work import ClipWork
from vdprobe.specs.lighting import Lighting
from vdprobe.specs.load import build
from vdprobe.store.store import FeatureStore
from vdprobe.studies.analysis import gathering
from vdprobe.studies.analysis.analysis import Gather
from vdprobe.studies.analysis.cells import View, cells_of
from vdprobe.studies.analysis.config import AnalysisConfig
from vdprobe.studies.analysis.gathering import gather
from vdprobe.studies.analysis.table_files import read_table

CONFIG = build(AnalysisConfig, {"features": {"model": {"pipeline": "tiny"}, "videos": {"path": "v"}}})


def units(views, config):
    return [(cell,) for view in views for spec in view.specs for cell in cells_of(view, spec)]


def rows(unit, store, config):
    """Two samples a video, whose mean says which tap it is; the second tap fails."""
    (cell,) = unit
    with (store.root / "calls").open("a") as calls:
        calls.write(f"{cell.tap}\n")
    if cell.tap == "b":
        yield [], [Failure("v0", "cannot be measured; try another")]
        return
    for clip in cell.view.clips:
        names = cell.names | {"video": clip.video.id, "which": "x"}
        yield [names | {"value": float(ord(cell.tap) + k)} for k in (0, 1)], []


@pytest.fixture
def views(tmp_path):
    clips = tuple(ClipWork(Video(f"v{k}", tmp_path), "d", (0, 1)) for k in range(2))
    return [View("tiny", False, 0, (spec_of("vd-t", ("a", "b", "c")),), clips)]


@pytest.fixture
def store(tmp_path):
    return FeatureStore.create(tmp_path / "store")


@pytest.fixture
def go(views, store, tmp_path):
    (tmp_path / "parts").mkdir()

    def run(way=None, workers=1, on_progress=None):
        way = way or Gather(units, rows)
        return list(gather(way, ("which",), CONFIG, views, store, tmp_path / "parts", workers, on_progress))

    return run


def calls(store):
    return (store.root / "calls").read_text().split()


def test_each_unit_is_a_table_of_videos_and_its_failures(go, store):
    told = []
    one, two, three = go(on_progress=lambda *what: told.append(what))
    assert told == [(1, 3), (2, 3), (3, 3)]
    for (path, lacks), tap in ((one, "a"), (three, "c")):
        assert not lacks
        table = read_table(path)
        assert table[["video", "tap", "value", "samples"]].to_numpy().tolist() == [
            [f"v{k}", tap, ord(tap) + 0.5, 2] for k in range(2)
        ]
    assert read_table(two[0]).empty
    assert two[1] == [Failure("v0", "cannot be measured; try another")]
    assert calls(store) == ["a", "b", "c"]


def test_what_was_stopped_goes_on(go, store, monkeypatch):
    def stop(unit, store, config):
        if unit[0].tap == "b":
            yield [], []
            raise KeyboardInterrupt
        yield from rows(unit, store, config)

    with pytest.raises(KeyboardInterrupt):
        go(Gather(units, stop))
    assert calls(store) == ["a"]
    again = go()
    assert calls(store) == ["a", "b", "c"]
    assert [len(read_table(path)) for path, _ in again] == [2, 0, 2]
    texts = [path.read_text() for path, _ in again]
    assert go() == again
    assert calls(store) == ["a", "b", "c"]
    assert [path.read_text() for path, _ in again] == texts


def test_a_light_makes_another_unit(views):
    clips = views[0].clips
    lit = cell_of(clips, tap="a", lighting=Lighting(strength=1))
    names = {gathering._name((cell_of(clips, tap="a"),)), gathering._name((lit,)), gathering._name((lit, lit))}
    assert len(names) == 3
