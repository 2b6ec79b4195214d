"""Maps that stand for several frames, in analyses: what is compared with what, by each rule."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from grouped import grouped  # noqa: F401
from planted import features_of, measured_of, sample_of, squares
from planted_store import PlantedItem, PlantedStore, all_rows, cell_of, clips_of

from vdprobe.data.moving_shapes.write import write_moving_shapes
from vdprobe.errors import ConfigError, DataError
from vdprobe.specs.load import build, merge
from vdprobe.specs.spans import frame_spans, group_spans
from vdprobe.studies.analysis.by_name import ANALYSES
from vdprobe.studies.analysis.frame_rules import RULE, rule_words
from vdprobe.studies.analysis.redraw import redraw
from vdprobe.studies.analysis.run import run_analysis
from vdprobe.studies.analysis.samples import at_frames
from vdprobe.studies.analysis.short import short_table

SPANS = group_spans(5, 2)
"""They end with frames 0, 2 and 4."""
FEATURES = {"features": {"model": {"pipeline": "tiny"}, "videos": {"path": "v"}}}


def measured_by(rule, numbers, maps, stride=1):
    """The sample of `numbers` with the features that a rule makes of `maps`."""
    item = PlantedItem(maps, stride, SPANS)
    (sample,) = at_frames([sample_of(numbers, stride)], item.frames_with_features("a", rule))
    features, places = item.read_frames("a", None, rule), item.frames_with_features("a", rule)
    return replace(measured_of(numbers, maps, stride), sample=sample, features=features, places=places)


@pytest.mark.parametrize(("rule", "propagated", "kept"), [("nearest", 2 / 3, 1 / 12), ("ends", 1, 0)])
def test_propagation(rule, propagated, kept):
    """Squares of 2 pixels move one a frame: a frame with the features of the next one has a J of 1/3."""
    numbers = squares(frames=5)
    analysis = ANALYSES["propagation"]
    config = build(analysis.config, FEATURES)
    rows = pd.DataFrame(analysis.measure(measured_by(rule, numbers, features_of(numbers)[::2]), config))
    found = rows.set_index(["masks", "score"])["value"]
    assert found["propagated", "J"] == pytest.approx(propagated) and found["kept", "J"] == pytest.approx(kept)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("nearest", {1: 0, 2: 0, 3: -1, 4: -1}),
        ("linear", {1: 0.5**0.5, 2: 0, 3: -(0.5**0.5), 4: -1}),
        ("ends", {2: 0, 4: -1}),
    ],
)
def test_consistency(rule, expected):
    """An object whose feature turns by a right angle from map to map: e1, e2, -e1. Gaps are in frames, whatever map."""
    numbers = squares(frames=5, step=0, objects=1)
    maps = np.zeros((3, 4, *numbers.shape[1:]), np.float32)
    maps[:, 3] = 1
    for number, (axis, sign) in enumerate([(0, 1), (1, 1), (0, -1)]):
        maps[number][:, numbers[0] == 1] = 0
        maps[number][axis, numbers[0] == 1] = sign
    analysis = ANALYSES["consistency"]
    rows = pd.DataFrame(analysis.measure(measured_by(rule, numbers, maps), build(analysis.config, FEATURES)))
    found = rows[(rows["region"] == "object") & (rows["estimator"] == "masked_mean")]
    assert dict(zip(found["gap"], found["value"], strict=True)) == pytest.approx(expected, abs=1e-6)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shapes"
    write_moving_shapes(folder, {"val": 3}, frames=5, side=32)
    return folder


@pytest.fixture
def configure(shapes, tmp_path):
    def make(name, **changes):
        values = {
            "features": {
                "model": {"pipeline": "pixels", "device": "cpu"},
                "videos": {"path": str(shapes), "split": "val"},
                "clips": {"frames": 5},
                "resize": {"short_side": 32},
                "taps": ["pixels.8"],
                "store": {"path": str(tmp_path / "store"), "dtype": "float32"},
            },
            "controls": {"fine": {"taps": ["pixels.4"]}},
            "shown": {"videos": 1},
        }
        return build(ANALYSES[name].config, merge(values, changes))

    return make


def recording(name):
    """The analysis, and what its measure is given."""
    seen = []
    analysis = ANALYSES[name]
    return replace(analysis, measure=lambda m, config: seen.append(m) or analysis.measure(m, config)), seen


@pytest.mark.parametrize("rule", ["nearest", "linear", "ends"])
@pytest.mark.usefixtures("grouped")
def test_frames_and_masks_belong_together(configure, tmp_path, rule):
    """Under `ends` only the frames with features are looked at; elsewhere, and in the control, all are."""
    analysis, seen = recording("propagation")
    config = configure("propagation", frame_rule=rule)
    found = run_analysis(analysis, config, tmp_path / "out")
    assert found.failures == () and len(seen) == 6 and len(found.pictures) == 1
    for measured in seen:
        whole = measured.sample.frames().astype(np.float32) / 127.5 - 1
        frames = (0, 2, 4) if rule == "ends" and measured.stride == 8 else (0, 1, 2, 3, 4)
        assert measured.sample.clip.frames == frames
        assert len(measured.features) == len(whole) == len(measured.objects.labels()) == len(frames)
        own = whole.reshape(len(whole), 4, 8, 4, 8, 3).mean((2, 4)).transpose(0, 3, 1, 2)  # of each place of stride 8
        cells = 32 // measured.stride
        side = measured.features.reshape(len(whole), 3, -1, cells, cells).mean(2)
        mean = side.reshape(len(whole), 3, 4, cells // 4, 4, cells // 4).mean((3, 5))
        if measured.stride == 8 and rule != "ends":
            before, after = (0, 0, 2, 2, 4), (0, 2, 2, 4, 4)
            own = own[list(after)] if rule == "nearest" else (own[list(before)] + own[list(after)]) / 2
        assert mean == pytest.approx(own, abs=0.01)
    summary = found.tables.summary
    assert set(summary[summary["backbone"] == "pixels"][RULE]) == {rule}
    assert set(summary[summary["backbone"] == "fine"][RULE]) == {"-"}
    assert RULE in short_table(analysis.headline(summary), config.shown)
    assert rule_words(summary).startswith(" Where a map stands for several frames, ") and f"'{rule}'" in rule_words(
        summary
    )
    assert redraw(tmp_path / "out", tmp_path / "again")
    other = configure("propagation", frame_rule="ends" if rule == "linear" else "linear")
    with pytest.raises(ConfigError, match=r"another 'frame_rule'"):
        run_analysis(analysis, other, tmp_path / "out")


def test_with_a_map_a_frame_nothing_is_said_and_older_folders_go_on(configure, tmp_path):
    analysis, seen = recording("propagation")
    found = run_analysis(analysis, configure("propagation"), tmp_path / "out")
    assert RULE not in found.tables.summary and rule_words(found.tables.summary) == ""
    assert "frame_rule" not in (tmp_path / "out" / "analysis.json").read_text()
    assert len(seen) == 6


@pytest.mark.usefixtures("grouped")
@pytest.mark.parametrize("name", ["consistency", "clusters", "roi-similarity", "probe", "layers"])
@pytest.mark.parametrize("rule", ["linear", "ends"])
def test_every_analysis_of_features_goes_by_the_rule(configure, tmp_path, name, rule):
    options = {"folds": 2} if name == "probe" else {"places": 32, "common": 16} if name == "layers" else {}
    found = run_analysis(ANALYSES[name], configure(name, frame_rule=rule, **options), tmp_path / "out")
    assert found.failures == ()
    assert {rule, "-"} == set(found.tables.summary[RULE])


def test_places_are_of_the_frames_that_have_features(shapes):
    (clip, *_) = clips_of(shapes)
    store = PlantedStore(lambda key, item: np.ones((3, 2, 8, 8), np.float32), spans=SPANS)
    from vdprobe.studies.analysis.cells import open_item
    from vdprobe.studies.analysis.places import find_places

    by = {}
    for rule in ("nearest", "ends"):
        cell = cell_of((clip,), None, rule=rule)
        places, _ = find_places(cell, clip, open_item(store, cell.spec, clip, None))
        by[rule] = places.labels
        assert len(cell.look(open_item(store, cell.spec, clip, None))[1]) == len(places.labels)
    assert np.array_equal(by["ends"], by["nearest"][[0, 2, 4]]) and len(by["nearest"]) == 5


def test_layers_are_compared_in_the_frames_that_both_have(shapes):
    """A tap with a map a frame, and one with the same features of every second frame alone."""
    clips = clips_of(shapes)
    unit = tuple(cell_of(clips, tap=tap, model=tap, rule="ends") for tap in ("many", "few"))

    class Store:
        def get(self, key, item):
            values = np.random.default_rng(len(item.video)).normal(size=(5, 6, 8, 8)).astype(np.float32)
            few = key == unit[1].spec.key
            return PlantedItem(values[::2] if few else values, 4, SPANS if few else frame_spans(5))

    analysis = ANALYSES["layers"]
    rows, lacks = all_rows(analysis.measure.rows(unit, Store(), build(analysis.config, {**FEATURES, "common": 40})))
    assert not lacks and pd.DataFrame(rows)["value"].to_numpy() == pytest.approx(1, abs=1e-5)


def test_an_object_that_is_seen_between_the_frames_alone_is_told():
    numbers = np.zeros((5, 8, 8), np.int64)
    numbers[1, 2:4, 2:4] = 1
    with pytest.raises(DataError, match="no object in any frame of the clip that has features"):
        at_frames([sample_of(numbers)], (0, 2, 4))
