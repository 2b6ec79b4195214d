"""Probes as an analysis: planted features are found, others are not, and each video counts once."""

from zlib import crc32

import numpy as np
import pandas as pd
import pytest
from planted import summary_of
from planted_store import PlantedStore, all_rows, cell_of, clips_of

from vdprobe.analyses.probes import cell_labels
from vdprobe.data.masks import read_labels
from vdprobe.data.moving_shapes.write import write_moving_shapes
from vdprobe.data.object_attributes import object_attributes
from vdprobe.errors import ConfigError, DataError, StoreError
from vdprobe.specs.load import build
from vdprobe.studies.analysis.probe import PROBE, REAL, SHUFFLED
from vdprobe.studies.analysis.tables import Tables

VIDEOS, FRAMES, SIDE, STRIDE, CHANNELS = 10, 3, 64, 4, 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes") / "videos"
    write_moving_shapes(folder, {"val": VIDEOS}, frames=FRAMES, side=SIDE)
    return folder


@pytest.fixture(scope="module")
def clips(folder):
    return clips_of(folder)


def configure(**options):
    features = {"model": {"pipeline": "tiny"}, "videos": {"path": "v"}}
    return build(PROBE.config, {"features": features, "places": 12, **options})


def labels_of(clip):
    labels = read_labels(clip.video, clip.frames).astype(np.int64)
    return cell_labels(labels, (SIDE // STRIDE, SIDE // STRIDE))


def planted(clips, mark):
    """A store in which channel k - 1 holds 5 where `mark(clip, labels, text)` is k, and noise elsewhere."""
    by_id = {clip.video.id: clip for clip in clips}

    def make(key, item):
        clip = by_id[item.video]
        labels = labels_of(clip)
        rng = np.random.default_rng(crc32(item.video.encode()))
        features = rng.normal(size=(len(labels), CHANNELS, *labels.shape[1:]))
        marks = mark(clip, labels, item.text)
        for k in range(CHANNELS):
            features[:, k] += 5 * (marks == k + 1)
        return features.astype(np.float32)

    return PlantedStore(make, STRIDE)


def meant(clip, labels, text):
    (expression,) = [e for e in clip.video.expressions if e.text == text][:1]
    return np.isin(labels, [int(id) for id in expression.object_ids])


def table_of(cell, store, config):
    rows, lacks = all_rows(PROBE.measure.rows((cell,), store, config))
    return pd.DataFrame(rows), lacks


def mean(table, task, score="auc", labels=REAL):
    rows = table[(table["task"] == task) & (table["score"] == score) & (table["labels"] == labels)]
    return rows["value"].mean()


def test_each_task_finds_what_is_planted_for_it_and_not_in_shuffled_labels(clips):
    config = configure()
    table, lacks = table_of(cell_of(clips, "vd-t"), planted(clips, lambda clip, labels, text: labels > 0), config)
    assert not lacks
    assert mean(table, "object") > 0.99
    assert mean(table, "object", "accuracy") > 0.97
    assert abs(mean(table, "object", labels=SHUFFLED) - 0.5) < 0.12
    assert abs(mean(table, "instance") - 0.5) < 0.15  # all objects are marked alike
    table, _ = table_of(cell_of(clips, "vd-t"), planted(clips, meant), config)
    assert mean(table, "instance") > 0.99
    assert abs(mean(table, "instance", labels=SHUFFLED) - 0.5) < 0.15


def test_features_without_a_text_are_asked_for_each_text_which_object_it_means(clips):
    """They cannot know, but for what the texts of the dataset prefer: that is the floor."""
    table, _ = table_of(cell_of(clips, "vd-i"), planted(clips, lambda clip, labels, text: labels == 1), configure())
    assert mean(table, "object") > 0.6
    assert abs(mean(table, "instance") - 0.5) < 0.2


def test_words_of_the_dataset(clips):
    sizes = ("small", "medium", "large")

    def size(clip, labels, text):
        out = np.zeros_like(labels)
        for id, said in object_attributes(clip.video).items():
            out[labels == int(id)] = 1 + sizes.index(said["size"])
        return out

    config = configure(tasks=["size"], folds=3)
    table, lacks = table_of(cell_of(clips, "vd-i"), planted(clips, size), config)
    counts = dict.fromkeys(sizes, 0)
    for clip in clips:
        shown = {str(label) for label in np.unique(labels_of(clip)) if label > 0}
        for size in {said["size"] for id, said in object_attributes(clip.video).items() if id in shown}:
            counts[size] += 1
    left_out = [f"size '{word}'" for word, count in counts.items() if count < 3]
    assert [lack.where for lack in lacks] == sorted(left_out)
    assert len(left_out) < 2
    assert mean(table, "size", "accuracy") > 0.95
    assert mean(table, "size", "accuracy", SHUFFLED) < 0.7


def test_a_rare_word_is_left_out_and_said(clips):
    config = configure(tasks=["colour"], folds=VIDEOS)
    table, lacks = table_of(cell_of(clips, None), planted(clips, lambda clip, labels, text: labels > 0), config)
    assert table["value"].isna().all()
    assert all("is left out: too few videos show it" in lack.error for lack in lacks if "'" in lack.where)
    assert any(lack.where.startswith("colour 'red'") for lack in lacks)


def test_an_unknown_word_names_those_that_there_are(clips):
    store = planted(clips, lambda clip, labels, text: labels > 0)
    with pytest.raises(ConfigError, match=r"task 'color' is no word .*: did you mean 'colour'\? valid: object, insta"):
        table_of(cell_of(clips), store, configure(tasks=["color"]))


def test_too_few_videos_are_said_and_have_no_value(clips):
    few = clips[:3]
    table, lacks = table_of(cell_of(few), planted(few, lambda clip, labels, text: labels > 0), configure())
    assert table.empty or table["value"].isna().all()
    assert [lack.where for lack in lacks] == [f"{task} at tiny, vd-t/none, t = 0, unet.up.2" for task in config_tasks()]
    assert "in 3 videos make no probe of 5 folds" in lacks[0].error


def config_tasks():
    return configure().tasks


def test_each_video_has_a_row_and_those_that_do_not_ask_have_no_value(clips, monkeypatch):
    """A video of one object has no other that a text could mean."""
    seen = []
    import vdprobe.studies.analysis.probe as module

    real = module.linear_probe
    monkeypatch.setattr(module, "linear_probe", lambda cells, **options: seen.append(cells) or real(cells, **options))
    table, _ = table_of(cell_of(clips), planted(clips, meant), configure())
    keys = ["video", *PROBE.keys]
    assert not table.duplicated(keys).any()
    assert set(table["video"]) == {clip.video.id for clip in clips}
    alone = {clip.video.id for clip in clips if len(np.unique(labels_of(clip)[labels_of(clip) > 0])) < 2}
    rows = table[(table["task"] == "instance") & (table["score"] == "accuracy")]
    assert set(rows[rows["value"].isna()]["video"]) == alone
    for cells in seen:
        for video in {part.video for part in cells}:
            classes = np.concatenate([part.classes for part in cells if part.video == video])
            texts = sum(part.video == video for part in cells)
            assert max(np.bincount(classes)) <= texts * -(-12 // texts)  # at most so many, over all texts


def test_a_clip_that_was_not_extracted_is_said_and_has_no_value(clips):
    whole = planted(clips, lambda clip, labels, text: labels > 0)

    def make(key, item):
        if item.video == clips[4].video.id:
            raise StoreError("no such item; extract it")
        return whole.make(key, item)

    table, (lack,) = table_of(cell_of(clips, "vd-i"), PlantedStore(make, STRIDE), configure(tasks=["object"]))
    assert lack.where == f"{clips[4].name}, tiny, vd-i/none, t = 0, unet.up.2"
    lost = table[table["value"].isna()]
    assert set(lost["video"]) == {clips[4].video.id}


def test_the_same_places_in_every_cell(clips, monkeypatch):
    import vdprobe.studies.analysis.probe as module

    seen = []
    monkeypatch.setattr(module, "linear_probe", lambda cells, **options: seen.append(cells) or _no_rows())
    where = PlantedStore(lambda key, item: np.stack(np.indices((FRAMES, 16, 16)), axis=1).astype(np.float32), STRIDE)
    for backbone in ("tiny", "random"):
        table_of(cell_of(clips, backbone=backbone), where, configure(tasks=["object"]))
    one, two = ([(part.video, part.features.tolist()) for part in cells] for cells in seen)
    assert one == two


def _no_rows():
    raise DataError("not asked")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": []}, "tasks is empty; name object, instance or"),
        ({"folds": 1}, r"folds \(=1\) at least 2"),
        ({"places": 0}, r"places \(=0\) must be at least 1"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ConfigError, match=message):
        configure(**options)


def test_figures_hold_each_cell_beside_its_shuffled_labels(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {
            "backbone": backbone,
            "control": backbone == "random",
            "condition": "vd-t",
            "noise": "none",
            "seed": 0,
            "timestep": "0",
            "tap": tap,
            "video": f"v{video}",
            "task": task,
            "score": score,
            "labels": labels,
            "value": rng.normal(0.5 + 0.3 * (labels == REAL), 0.02),
        }
        for backbone in ("tiny", "random")
        for tap in ("unet.up.2", "unet.in")
        for video in range(4)
        for task in ("object", "size")
        for score in ("accuracy", "auc")
        for labels in (REAL, SHUFFLED)
    ]
    summary = summary_of(rows, PROBE.keys)
    config = configure(tasks=["object", "size"])
    paths = PROBE.draw(Tables(summary, pd.DataFrame()), config, tmp_path)
    assert [path.name for path in paths] == ["probe-object.pdf", "probe-size.pdf"]
    drawn = pd.read_csv(tmp_path / "probe-object.csv")
    assert drawn["tap"].tolist() == ["unet.in", "unet.in", "unet.up.2", "unet.up.2"]  # as a frame passes them
    assert (drawn["score"] == "auc").all() and (drawn["labels"] == REAL).all()
    floors = summary[(summary["task"] == "object") & (summary["score"] == "auc") & (summary["labels"] == SHUFFLED)]
    assert sorted(drawn["floor"]) == pytest.approx(sorted(floors["mean"]))
    assert (pd.read_csv(tmp_path / "probe-size.csv")["score"] == "accuracy").all()
    short = PROBE.headline(summary)
    assert set(zip(short["task"], short["score"], strict=True)) == {("object", "auc"), ("size", "accuracy")}
