"""Stability as an analysis: known changes of IoU from masks on disk, beside their controls."""

import pickle
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vdprobe.analyses.stability import iou_differences
from vdprobe.data.masks import read_object_mask
from vdprobe.data.moving_shapes.write import write_moving_shapes
from vdprobe.data.sources import find_videos
from vdprobe.errors import ConfigError, DataError
from vdprobe.specs.load import build
from vdprobe.studies.analysis import stability
from vdprobe.studies.analysis.redraw import redraw
from vdprobe.studies.analysis.run import Progress, run_analysis
from vdprobe.studies.analysis.stability import CONTROLS, STABILITY
from vdprobe.studies.analysis.table_files import read_table

FRAMES = 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes") / "videos"
    write_moving_shapes(folder, {"val": 3}, frames=FRAMES, side=32)
    return folder


@pytest.fixture(scope="module")
def truths(folder):
    """(video, expression) to its true masks."""
    videos = find_videos(folder, split="val").videos
    return {
        (video.id, e.id): read_object_mask(video, e.object_ids, range(FRAMES))
        for video in videos
        for e in video.expressions
    }


def write_masks(out, masks):
    for (video, expression), frames in masks.items():
        place = out / video / expression
        place.mkdir(parents=True)
        for k, mask in enumerate(frames):
            Image.fromarray(255 * mask.astype(np.uint8)).save(place / f"{k:05d}.png")
    return out


@pytest.fixture
def flickering(truths, tmp_path):
    """True in even frames, shifted in odd ones."""
    masks = {key: np.stack([np.roll(m, 4 * (k % 2), axis=1) for k, m in enumerate(t)]) for key, t in truths.items()}
    return write_masks(tmp_path / "flickering", masks), masks


def configure(folder, predictions, **options):
    values = {"predictions": {name: str(path) for name, path in predictions.items()}}
    return build(STABILITY.config, {**values, "videos": {"path": str(folder), "split": "val"}, **options})


def values_of(config):
    """The values of videos, and what failed."""
    made = list(STABILITY.measure.parts(config, 1, None))
    return pd.concat([table for table, _ in made], ignore_index=True), [lack for _, lacks in made for lack in lacks]


def test_values_are_those_of_the_masks_averaged_over_a_video(folder, truths, flickering, tmp_path):
    path, masks = flickering
    true = write_masks(tmp_path / "true", truths)
    empty = write_masks(tmp_path / "empty", {key: np.zeros_like(t) for key, t in truths.items()})
    told = []
    config = configure(folder, {"true": true, "flickering": path, "empty": empty})
    progress = Progress(measuring=lambda *what: told.append(what))
    found = run_analysis(STABILITY, config, tmp_path / "out", progress=progress)
    assert not found.failures
    assert [what[0] for what in told] == ["true", "flickering", "empty", "controls"]
    assert told[-1] == ("controls", 3, 3)
    values = read_table(found.folder / "values.csv").set_index(["backbone", "video", "measure"])["value"]
    for video in {key[0] for key in truths}:
        keys = [key for key in truths if key[0] == video]
        differences = np.mean([[d.difference for d in iou_differences(masks[k], truths[k])] for k in keys], axis=0)
        assert values["flickering", video, "change over 1 frame"] == pytest.approx(differences[0])
        assert values["flickering", video, "change over 5 frames"] == pytest.approx(differences[1])
        true = [values["true", video, name] for name in ("change over 1 frame", "change over 5 frames", "IoU")]
        assert true == [0, 0, 100]
        seen = np.mean([truths[k].any(axis=(1, 2)).mean() for k in keys])
        assert values["empty", video, "IoU"] == pytest.approx(100 * (1 - seen))
        areas = np.mean([truths[k].mean() for k in keys])
        assert values["whole frame", video, "IoU"] == pytest.approx(100 * areas)
    summary = found.tables.summary
    assert set(summary[summary["control"]]["backbone"]) == set(CONTROLS)
    assert (summary["count"] == 3).all()
    pairs = found.tables.differences
    row = pairs[(pairs["first"] == "true") & (pairs["second"] == "flickering") & (pairs["measure"] == "IoU")]
    assert row["mean"].item() > 0
    assert [path.name for path in found.figures] == ["stability.pdf", "stability-iou.pdf"]
    drawn = pd.read_csv(tmp_path / "out/figures/stability.csv")
    assert drawn["label"].unique().tolist() == ["over 1 frame", "over 5 frames"]
    assert drawn["group"].unique().tolist() == ["true", "flickering", "empty", *CONTROLS]
    assert [path.name for path in redraw(tmp_path / "out", tmp_path / "again")] == [
        "stability.pdf",
        "stability-iou.pdf",
    ]


def test_the_kept_mask_is_the_first_that_shows_the_object(folder, truths, flickering, tmp_path):
    """Objects come in with the second frame here."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for first in (copy / "val" / "Annotations").rglob("00000.png"):
        Image.fromarray(np.zeros((32, 32), np.uint8)).save(first)
    table, _ = values_of(configure(copy, {"a": flickering[0]}))
    values = table.set_index(["backbone", "video", "measure"])["value"]
    for video in {key[0] for key in truths}:
        ious = []
        for key, truth in truths.items():
            if key[0] == video:
                later = truth[1:]
                kept = next((mask for mask in later if mask.any()), later[0])
                both, either = (later & kept).sum(axis=(1, 2)), (later | kept).sum(axis=(1, 2))
                of_first = 0.0 if kept.any() else 1.0
                ious.append(np.mean([of_first, *np.where(either > 0, both / np.maximum(either, 1), 1)]))
        assert values["first mask, kept", video, "IoU"] == pytest.approx(100 * np.mean(ious))


def test_a_zip_processes_and_the_folder_of_a_benchmark_change_nothing(folder, flickering, tmp_path, monkeypatch):
    """What other processes get is pickled."""
    real = stability.spread
    monkeypatch.setattr(stability, "CHUNK", 2)
    monkeypatch.setattr(stability, "spread", lambda way, *a, **b: real(lambda part: _far(way, part), *a, **b))
    path = flickering[0]
    shutil.copytree(path, tmp_path / "zipped" / "Annotations")
    archive = shutil.make_archive(str(tmp_path / "masks"), "zip", tmp_path / "zipped")
    alone, _ = values_of(configure(folder, {"a": path}))
    zipped, lacks = values_of(configure(folder, {"a": archive}))
    assert not lacks
    pd.testing.assert_frame_equal(zipped, alone)


def _far(way, part):
    way, part = pickle.loads(pickle.dumps((way, part)))
    return pickle.loads(pickle.dumps(way(part)))


def test_what_is_missing_is_said_and_left_out(folder, truths, flickering):
    path = flickering[0]
    (video, expression), *_ = truths
    (path / video / expression / "00003.png").unlink()
    table, (failure,) = values_of(configure(folder, {"a": path}))
    assert failure.where == f"a, {video}/{expression}"
    assert failure.error == f"1 of {FRAMES} frames have no mask in {path}; predict them all"
    count = sum(key[0] == video for key in truths)
    rows = table[(table["video"] == video) & (table["backbone"] == "a")]
    assert (rows["samples"] == count - 1).all()


def test_a_gap_longer_than_the_video_has_no_value_and_is_counted(folder, flickering, tmp_path):
    config = configure(folder, {"a": flickering[0]}, gaps=[2, 30])
    summary = run_analysis(STABILITY, config, tmp_path / "out").tables.summary
    assert (
        summary[summary["measure"] == "change over 30 frames"][["count", "absent"]].to_numpy().tolist() == [[0, 3]] * 3
    )
    assert (summary[summary["measure"] == "change over 2 frames"]["count"] == 3).all()
    assert set(pd.read_csv(tmp_path / "out/figures/stability.csv")["label"]) == {"over 2 frames"}


def test_errors_say_what_to_do(folder, flickering, tmp_path):
    path = flickering[0]
    with pytest.raises(
        DataError, match=r"holds no prediction of these videos: looked for <video>/.*such as val-00000/0"
    ):
        run_analysis(STABILITY, configure(folder, {"a": path / "val-00000"}), tmp_path / "out")
    with pytest.raises(DataError, match="give a folder of predictions or a zip"):
        run_analysis(STABILITY, configure(folder, {"a": tmp_path / "nowhere"}), tmp_path / "out2")
    with pytest.raises(ConfigError, match="predictions is empty"):
        configure(folder, {})
    with pytest.raises(ConfigError, match="predictions are called 'whole frame', as a control is"):
        configure(folder, {"whole frame": path})
    for gaps in ([0], [1, 1], []):
        with pytest.raises(ConfigError, match=r"gaps \(=.*must be different numbers of frames, each at least 1"):
            configure(folder, {"a": path}, gaps=gaps)


def test_videos_without_masks_are_said(folder, flickering, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / "val" / "Annotations" / "val-00001")
    table, failures = values_of(configure(copy, {"a": flickering[0]}))
    assert [(failure.where, failure.error) for failure in failures] == [
        ("val-00001", "has no folders of frames and masks; give a dataset that has them")
    ]
    assert set(table["video"]) == {"val-00000", "val-00002"}
