"""An analysis from end to end, on raw pixels: tables, failures, going on, what a folder may hold."""

import pickle
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from vdprobe.data.moving_shapes.write import write_moving_shapes
from vdprobe.data.video import Failure
from vdprobe.errors import ConfigError, DataError, StoreError
from vdprobe.specs.load import build, merge
from vdprobe.store.layout import item_path
from vdprobe.studies.analysis import pictures, run
from vdprobe.studies.analysis.analysis import Analysis
from vdprobe.studies.analysis.by_name import ANALYSES
from vdprobe.studies.analysis.config import AnalysisConfig
from vdprobe.studies.analysis.redraw import redraw
from vdprobe.studies.analysis.run import Progress, run_analysis
from vdprobe.studies.analysis.table_files import read_table
from vdprobe.studies.analysis.tables import read_tables


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shapes"
    write_moving_shapes(folder, {"test": 3}, frames=3, side=32)
    return folder


@pytest.fixture
def configure(shapes, tmp_path):
    def make(**changes):
        values = {
            "features": {
                "model": {"pipeline": "pixels", "device": "cpu"},
                "videos": {"path": str(shapes), "split": "test"},
                "clips": {"frames": 3},
                "resize": {"short_side": 32},
                "taps": ["pixels.8"],
                "store": {"path": str(tmp_path / "store")},
            },
            "controls": {"coarse": {"taps": ["pixels.16"]}},
        }
        return build(AnalysisConfig, merge(values, changes))

    return make


class Area:
    """The share of the frame that objects fill, or an error for some videos or taps."""

    def __init__(self):
        self.calls = []
        self.broken = lambda measured: False

    def __call__(self, measured, config):
        self.calls.append((measured.sample.clip.video.id, measured.grid))
        if self.broken(measured):
            raise DataError("it cannot be measured")
        share = float((measured.sample.objects.labels() > 0).mean())
        return [{"part": "objects", "value": share}, {"part": "channels", "value": float(measured.features.shape[1])}]


@pytest.fixture
def area():
    def draw(tables, config, folder):
        tables.summary.to_csv(folder / "drawn.csv", index=False)
        return [folder / "drawn.csv"]

    return Analysis("area", AnalysisConfig, ("part",), ("backbone", "part"), Area(), draw, needs="an object")


def test_tables_hold_each_video_of_each_backbone(area, configure, tmp_path):
    found = run_analysis(area, configure(), tmp_path / "out")
    assert found.failures == ()
    assert found.extracted == 6
    values = read_table(tmp_path / "out" / "values.csv")
    assert values.groupby("backbone")["video"].nunique().to_dict() == {"pixels": 3, "coarse": 3}
    # all expressions together, as pixels know no text: measured once a video
    assert (values["samples"] == 1).all()
    channels = found.tables.summary[found.tables.summary["part"] == "channels"]
    assert channels.set_index("backbone")["mean"].to_dict() == {"pixels": 192, "coarse": 768}
    assert channels.set_index("backbone")["control"].to_dict() == {"pixels": False, "coarse": True}
    change = found.tables.differences
    change = change[(change["factor"] == "backbone") & (change["first"] == "pixels")]
    assert not len(change)  # no tap that both have
    for name in ("analysis.json", "values.csv", "summary.csv", "differences.csv", "failures.csv"):
        assert (tmp_path / "out" / name).is_file()
    pd.testing.assert_frame_equal(read_tables(tmp_path / "out").summary, found.tables.summary)


def test_what_was_measured_is_not_measured_again_and_draws_the_same(area, configure, tmp_path):
    first = run_analysis(area, configure(), tmp_path / "out")
    calls = len(area.measure.calls)
    again = run_analysis(area, configure(), tmp_path / "out")
    assert len(area.measure.calls) == calls == 6
    assert again.extracted == 0
    pd.testing.assert_frame_equal(first.tables.summary, again.tables.summary)


def test_a_stopped_run_goes_on_with_the_views_that_are_left(area, configure, tmp_path):
    def stop(name, done, total):
        if name == "coarse":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_analysis(area, configure(), tmp_path / "out", progress=Progress(measuring=stop))
    area.measure.calls.clear()
    found = run_analysis(area, configure(), tmp_path / "out")
    assert {grid for _, grid in area.measure.calls} == {(2, 2)}
    assert found.tables.summary["backbone"].nunique() == 2


def test_failures_are_listed_once_and_say_in_how_many_cells(area, configure, tmp_path):
    config = configure(features={"taps": ["pixels.8", "pixels.16"]}, controls={"coarse": {"taps": ["pixels.32"]}})
    area.measure.broken = lambda m: m.sample.clip.video.id == "test-00001" and m.stride == 16
    found = run_analysis(area, config, tmp_path / "some")
    assert [(f.where, f.error) for f in found.failures] == [
        ("test-00001[0..2]", "it cannot be measured (in 1 of 2 cells of pixels)")
    ]
    area.measure.broken = lambda m: m.sample.clip.video.id == "test-00001"
    found = run_analysis(area, config, tmp_path / "all")
    assert [f.error for f in found.failures] == ["it cannot be measured"]
    listed = pd.read_csv(tmp_path / "all" / "failures.csv")
    assert listed.to_numpy().tolist() == [["test-00001[0..2]", "it cannot be measured"]]
    assert found.tables.summary["count"].unique().tolist() == [2]


def test_a_clip_that_could_not_be_extracted_is_listed_and_the_rest_goes_on(area, configure, tmp_path, monkeypatch):
    real, others = run.extract, []

    def extract(plan, store, **options):
        report = real(plan, store, **options)
        shutil.rmtree(item_path(store.root, plan.specs[0].key, plan.clips[1].items(plan.specs[0])[0]))
        report.failures.append(Failure(plan.clips[1].name, "overflow"))
        return report

    def measure(measured, config):
        others.append(measured.other())
        return area.measure(measured, config)

    monkeypatch.setattr(run, "extract", extract)
    found = run_analysis(replace(area, measure=measure), configure(), tmp_path / "out")
    assert [(f.where, f.error) for f in found.failures] == [("test-00001[0..2]", "overflow")]
    assert found.tables.summary["count"].unique().tolist() == [2]
    assert [None if other is None else other.shape for other in others[:2]] == [None, (3, 192, 4, 4)]


def test_nothing_to_measure_is_an_error_that_says_what_is_needed(area, configure, tmp_path):
    area.measure.broken = lambda measured: True
    with pytest.raises(DataError, match=r"a video needs an object.*test-00000.*it cannot be measured"):
        run_analysis(area, configure(), tmp_path / "out")
    nothing = replace(area, measure=lambda measured, config: [{"part": "objects", "value": np.nan}])
    with pytest.raises(DataError, match=r"no sample could be measured: a video needs an object$"):
        run_analysis(nothing, configure(), tmp_path / "nan")


def test_videos_without_masks_are_listed(area, configure, shapes, tmp_path):
    config = configure(features={"videos": {"path": str(shapes / "test" / "JPEGImages"), "layout": "frames"}})
    with pytest.raises(DataError, match="has no masks, and the analysis compares objects; give a dataset with them"):
        run_analysis(area, config, tmp_path / "out")


def test_a_folder_holds_one_analysis_whatever_it_shows(area, configure, tmp_path):
    run_analysis(area, configure(), tmp_path / "out")
    with pytest.raises(ConfigError, match=r"another 'features.seed' .* give another --out"):
        run_analysis(area, configure(features={"seed": 3}), tmp_path / "out")
    run_analysis(area, configure(shown={"tap": "pixels.8"}), tmp_path / "out")


def test_what_failed_before_anything_was_measured_may_be_asked_anew(area, configure, tmp_path):
    def measure(measured, config):
        raise RuntimeError("a word that is none")

    with pytest.raises(RuntimeError):
        run_analysis(replace(area, measure=measure), configure(), tmp_path / "out")
    run_analysis(area, configure(features={"seed": 3}), tmp_path / "out")


@pytest.mark.parametrize("value", [None, np.nan])
def test_an_analysis_without_a_value_leaves_the_folder_to_the_corrected_one(area, configure, tmp_path, value):
    rows = [] if value is None else [{"part": "objects", "value": value}]
    with pytest.raises(DataError, match="no sample could be measured"):
        run_analysis(replace(area, measure=lambda measured, config: rows), configure(), tmp_path / "out")
    found = run_analysis(area, configure(features={"seed": 3}), tmp_path / "out")
    assert found.tables.summary["mean"].notna().all()
    with pytest.raises(ConfigError, match=r"another 'features.seed'"):
        run_analysis(area, configure(), tmp_path / "out")


def test_a_part_without_a_row_holds_no_folder(area, configure, tmp_path):
    found = run_analysis(area, configure(), tmp_path / "out")
    (found.folder / "values.csv").unlink()
    for part in (found.folder / "parts").glob("*.csv"):  # as one leaves it that was stopped among videos without masks
        part.write_text(part.read_text().splitlines()[0] + "\n")
    run_analysis(area, configure(features={"seed": 3}), tmp_path / "out")


def test_a_seed_that_changes_nothing_is_measured_once(area, configure, tmp_path):
    found = run_analysis(area, configure(seeds=[0, 1]), tmp_path / "out")
    # pixels know no seed: what the second view has is all in the first
    assert set(read_table(found.folder / "values.csv")["seed"]) == {0}
    with pytest.raises(ConfigError, match="hold one twice"):
        configure(seeds=[1, 1])


def test_one_video_has_tables_and_no_figure(area, configure, tmp_path):
    found = run_analysis(area, configure(features={"videos": {"limit": 1}}), tmp_path / "out")
    assert found.figures == ()
    assert found.tables.summary["count"].unique().tolist() == [1]


def test_features_that_lack_may_be_an_error(area, configure, tmp_path):
    config = configure()
    alone = replace(config, controls={})
    with pytest.raises(StoreError, match="no feature store at"):
        run_analysis(area, config, tmp_path / "out", extracting=False)
    run_analysis(area, alone, tmp_path / "first")
    with pytest.raises(DataError, match=r"3 of 3 items of 'pixels' are not in .* make them with: vdprobe extract") as e:
        run_analysis(area, config, tmp_path / "out", extracting=False)
    assert "--set 'taps=[\"pixels.16\"]'" in str(e.value)
    assert run_analysis(area, alone, tmp_path / "second", extracting=False).extracted == 0


def test_figures_are_drawn_again_from_the_folder_alone(area, configure, tmp_path, monkeypatch):
    monkeypatch.setitem(ANALYSES, "area", area)
    config = configure(shown={"tap": "pixels.8"})
    (drawn,) = run_analysis(area, config, tmp_path / "out").figures
    before = drawn.read_bytes()
    (tmp_path / "store").rename(tmp_path / "gone")
    (again,) = redraw(tmp_path / "out")
    assert (again, again.read_bytes()) == (drawn, before)
    seen = []
    monkeypatch.setitem(ANALYSES, "area", replace(area, draw=lambda t, config, f: seen.append(config.shown.tap) or []))
    redraw(tmp_path / "out")
    redraw(tmp_path / "out", tmp_path / "elsewhere", {"shown": {"tap": "pixels.16"}})
    redraw(tmp_path / "out")
    assert seen == ["pixels.8", "pixels.16", "pixels.8"]


def test_what_cannot_be_drawn_again(area, configure, tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"there is no .*analysis.json; give a folder of `vdprobe analyze`"):
        redraw(tmp_path)
    run_analysis(area, configure(), tmp_path / "out")
    with pytest.raises(DataError, match="holds the analysis 'area', which is not known"):
        redraw(tmp_path / "out")
    monkeypatch.setitem(ANALYSES, "area", area)
    with pytest.raises(ConfigError, match="option 'features' would change the tables; run `vdprobe analyze area`"):
        redraw(tmp_path / "out", None, {"features": {"seed": 3}})
    summary, record = tmp_path / "out" / "summary.csv", tmp_path / "out" / "analysis.json"
    whole = summary.read_bytes()
    for damage in (b"\xff", whole.replace(b"count", b"cuont"), whole + b'"', whole.replace(b"False", b"Fa1se")):
        summary.write_bytes(damage)
        with pytest.raises(
            DataError, match=r"out holds tables that are damaged or were changed \(.*\); run the analysis"
        ):
            redraw(tmp_path / "out")
    told = record.read_bytes()
    for damage in (b"[]", b'{"config": 1}', b'{"config": {}}'):
        record.write_bytes(damage)
        with pytest.raises(
            DataError, match=r"analysis.json is not the record of an analysis .*; run the analysis again"
        ):
            redraw(tmp_path / "out")
    record.write_bytes(told)
    summary.unlink()
    with pytest.raises(DataError, match=r"there is no .*summary.csv; run the analysis again, it goes on"):
        redraw(tmp_path / "out")


@pytest.mark.parametrize("name", ANALYSES)
def test_every_analysis_can_be_sent_to_a_worker(name):
    measure = ANALYSES[name].measure
    assert pickle.loads(pickle.dumps(measure)) == measure


@pytest.fixture
def drawn(monkeypatch):
    """What is given to be drawn as pictures: (frames, rows, file, title)."""
    found = []
    monkeypatch.setattr(
        pictures, "draw_picture_rows", lambda f, rows, path, title: found.append((f, rows, path, title))
    )
    return found


def test_the_first_videos_that_can_be_measured_are_pictured(area, configure, tmp_path, drawn):
    def picture(measured, config):
        if any(m.sample.clip.video.id == "test-00000" for m in measured.values()):
            raise DataError("nothing to see")
        return {name: np.zeros((3, *m.grid, 3)) for name, m in measured.items()}

    shown = replace(area, picture=picture, pictured="what is seen")
    found = run_analysis(shown, configure(shown={"videos": 1}), tmp_path / "out")
    ((frames, rows, path, title),) = drawn
    assert found.pictures == (path,) == (tmp_path / "out" / "pictures" / "area-test-00001.png",)
    assert frames.shape == (3, 32, 32, 3)
    assert {name: row.shape[1:3] for name, row in rows.items()} == {
        "pixels, pixels.8": (4, 4),
        "coarse\npixels.16": (2, 2),
    }
    assert title.startswith("test-00001[0..2], '")
    assert title.endswith("': what is seen; pixels.8")
    drawn.clear()
    assert run_analysis(shown, configure(shown={"videos": 0}), tmp_path / "out").pictures == ()
    assert not drawn
    assert len(run_analysis(shown, configure(), tmp_path / "out").pictures) == 2


def test_values_that_no_cell_has_are_in_the_tables_and_not_in_pictures(area, configure, tmp_path, drawn):
    """As those of the masks of heads, also of a control's."""

    def beyond(config, out, extracting, tell):
        for backbone in ("pixels", "coarse"):
            cell = {"backbone": backbone, "control": backbone == "coarse", "condition": "vd-t", "noise": "none"}
            place = {"seed": 0, "timestep": "0", "tap": "head", "part": "objects", "samples": 1, "absent": 0}
            yield pd.DataFrame([cell | place | {"video": f"test-0000{k}", "value": 1.0} for k in range(3)]), []

    picture = lambda measured, config: {name: np.zeros((3, *m.grid, 3)) for name, m in measured.items()}  # noqa: E731
    found = run_analysis(replace(area, picture=picture, beyond=beyond), configure(), tmp_path / "out")
    assert set(found.tables.summary.loc[found.tables.summary["tap"] == "head", "backbone"]) == {"pixels", "coarse"}
    assert {name for _, rows, *_ in drawn for name in rows} == {"pixels, pixels.8", "coarse\npixels.16"}
