"""Lighting as an analysis: known drifts, the lights that are asked for, masks of heads under each, and the figures."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from planted import summary_of
from planted_store import RESIZE, PlantedStore, all_rows, cell_of, clips_of, spec_of

from vdprobe.analyses.probes import cell_labels
from vdprobe.data.frames import FrameReader
from vdprobe.data.lighting import apply_lighting
from vdprobe.data.masks import read_labels, read_object_mask
from vdprobe.data.moving_shapes.write import write_moving_shapes
from vdprobe.errors import ConfigError, StoreError
from vdprobe.models.registry import find_model
from vdprobe.specs.lighting import Lighting
from vdprobe.specs.load import build
from vdprobe.studies.analysis import lit_heads
from vdprobe.studies.analysis.analysis import Measured
from vdprobe.studies.analysis.cells import View
from vdprobe.studies.analysis.lighting import CENTRED, CHANGE, COSINE, IOU, LIGHTING
from vdprobe.studies.analysis.samples import samples_of
from vdprobe.studies.analysis.statistics import differences, summarise
from vdprobe.studies.analysis.tables import Tables
from vdprobe.studies.analysis.video_means import table_means
from vdprobe.studies.predict.head_folder import HeadFolder

FRAMES, SIDE, CHANNELS = 3, 32, 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes") / "videos"
    write_moving_shapes(folder, {"val": 3}, frames=FRAMES, side=SIDE)
    return folder


@pytest.fixture(scope="module")
def clips(folder):
    return clips_of(folder)


def configure(folder="v", **options):
    features = {
        "model": {"pipeline": "tiny"},
        "videos": {"path": str(folder), "split": "val"},
        "conditions": ["vd-t", "vd-i"],
        "taps": ["unet.up.2"],
    }
    controls = {"pixels": {"model": {"pipeline": "pixels"}, "taps": ["pixels.8"]}}
    return build(LIGHTING.config, {"features": features, "controls": controls, "strengths": [0, 0.5, 1], **options})


def lit_cells(clips, config, **options):
    return (cell_of(clips, **options), *(cell_of(clips, lighting=light, **options) for light in config.lights()))


def table_of(unit, store, config):
    rows, lacks = all_rows(LIGHTING.measure.rows(unit, store, config))
    return pd.DataFrame(rows), lacks


def rotate(features, angle):
    """By an angle in the plane of channels 0 and 1."""
    out = features.copy()
    out[:, 0] = np.cos(angle) * features[:, 0] - np.sin(angle) * features[:, 1]
    out[:, 1] = np.sin(angle) * features[:, 0] + np.cos(angle) * features[:, 1]
    return out


def test_a_known_turn_of_the_objects_that_are_meant(clips):
    """Under brightness features of object 1 turn by 60 degrees times the strength, under shadow nothing changes."""
    config = configure(kinds=["brightness", "shadow"])
    unit = lit_cells(clips, config)
    lights = {cell.spec.key: cell.view.lighting for cell in unit}
    labels = {c.video.id: cell_labels(read_labels(c.video, c.frames).astype(int), (8, 8)) for c in clips}

    def make(key, item):
        features = np.zeros((FRAMES, CHANNELS, SIDE // 4, SIDE // 4), np.float32)
        features[:, 0] = 1
        light = lights[key]
        if light is None or light.kind == "shadow":
            return features
        turned = rotate(features, np.pi / 3 * light.strength)
        return np.where((labels[item.video] == 1)[:, None], turned, features)

    table, lacks = table_of(unit, PlantedStore(make), config)
    assert not lacks
    keys = ["video", "measure", "kind", "region", "strength"]
    means = table.groupby(keys)["value"].mean()
    counts = table.groupby(keys)["value"].count()
    for clip in clips:
        shown = [e.object_id for e in clip.video.expressions if (labels[clip.video.id] == int(e.object_id)).any()]
        for strength in (0.0, 0.5, 1.0):
            expected = np.mean([np.cos(np.pi / 3 * strength * (id == "1")) for id in shown])
            found = means[clip.video.id, COSINE, :, :, strength]
            assert found["brightness", "object"] == pytest.approx(expected)
            assert found["brightness", "background"] == found["shadow", "background"] == found["shadow", "object"] == 1
            assert counts[clip.video.id, COSINE, "brightness", "object", strength] == len(shown)
    assert set(table["measure"]) == {COSINE, CENTRED}


def test_what_no_text_has_a_part_in_is_measured_once_for_all_objects_meant(clips):
    config = configure()
    unit = lit_cells(clips, config, condition="vd-i")
    noise = np.random.default_rng(0).normal(size=(FRAMES, CHANNELS, 8, 8)).astype(np.float32)
    table, _ = table_of(unit, PlantedStore(lambda key, item: noise), config)
    assert not table.duplicated(["video", *LIGHTING.keys]).any()
    assert table["value"].dropna().to_numpy() == pytest.approx(1)
    assert set(table["strength"]) == {0, 0.5, 1}


def test_features_that_are_not_finite_are_said(clips):
    config = configure()
    broken = np.full((FRAMES, CHANNELS, 8, 8), np.nan, np.float32)
    unit = lit_cells(clips[:1], config, condition="vd-i")
    table, (lack,) = table_of(unit, PlantedStore(lambda key, item: broken), config)
    assert table.empty
    assert lack.where == "val-00000[0..2], tiny, vd-i/none, t = 0, unet.up.2"
    assert "NaN or infinite" in lack.error


def test_a_clip_that_was_not_extracted_is_said_and_the_others_are_measured(clips):
    config = configure()

    def make(key, item):
        if item.video == clips[1].video.id:
            raise StoreError("no such item; extract it")
        return np.random.default_rng(0).normal(size=(FRAMES, CHANNELS, 8, 8)).astype(np.float32)

    table, (lack,) = table_of(lit_cells(clips, config, condition="vd-i"), PlantedStore(make), config)
    assert set(table["video"]) == {clips[0].video.id, clips[2].video.id}
    assert (lack.where, lack.error) == (
        "val-00001[0..2], tiny, vd-i/none, t = 0, unet.up.2",
        "no such item; extract it",
    )


def test_units_are_a_cell_and_the_same_under_each_light(clips):
    config = configure()
    lights = (None, *config.lights())
    views = [
        View(name, control, 0, (spec_of("vd-t", ("a", "b"), f"{name} {light}"),), clips, light)
        for light in reversed(lights)
        for name, control in (("tiny", False), ("pixels", True))
    ]
    units = LIGHTING.measure.units(views, config)
    assert sorted((unit[0].view.backbone, unit[0].tap) for unit in units) == [
        ("pixels", "a"),
        ("pixels", "b"),
        ("tiny", "a"),
        ("tiny", "b"),
    ]
    for unit in units:
        assert unit[0].view.lighting is None
        assert {cell.view.lighting for cell in unit} == set(lights)
        assert {(cell.view.backbone, cell.tap) for cell in unit} == {(unit[0].view.backbone, unit[0].tap)}


def test_every_kind_at_every_strength_is_extracted_for_each_seed(clips):
    config = configure(kinds=["brightness", "flicker"], share=0.5, light_seed=3, seeds=[1, 2])
    assert config.lights() == [
        Lighting(kind="brightness", strength=0.5, share=0.5, seed=3),
        Lighting(kind="brightness", strength=1, share=0.5, seed=3),
        Lighting(kind="flicker", strength=0.5, seed=3),
        Lighting(kind="flicker", strength=1, seed=3),
    ]
    seeded = config.seeded(config.features)
    assert [(one.seed, one.lighting) for one in seeded[:2]] == [(1, None), (2, None)]
    assert {(one.seed, one.lighting) for one in seeded[2:]} == {(s, li) for s in (1, 2) for li in config.lights()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strengths": [0.5, 1]}, r"strengths \(=\[0.5, 1.0\]\) must rise from 0 on, and be two or more"),
        ({"strengths": [0, 1, 1]}, "must rise from 0 on"),
        ({"strengths": [0]}, "must rise from 0 on"),
        ({"strengths": [0, 2]}, "strength must be from 0 to 1"),
        ({"kinds": []}, "kinds is empty; name at least one change of light"),
        ({"share": 0}, "share above 0 and at most 1"),
        (
            {"heads": {"vd-it": "run"}},
            "heads.vd-it is no condition of the features and no control: did you mean 'vd-t'",
        ),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ConfigError, match=message):
        configure(**options)


def test_a_light_of_the_features_themselves_is_an_error():
    features = {"model": {"pipeline": "tiny"}, "videos": {"path": "v"}, "lighting": {"strength": 0.5}}
    with pytest.raises(ConfigError, match=r"features\.lighting is what this analysis varies; leave it out"):
        build(LIGHTING.config, {"features": features})


def test_the_picture_shows_the_frames_as_the_model_sees_them(clips):
    config = configure(kinds=["brightness", "shadow"])
    sample = samples_of(clips[0], RESIZE)[0][0]
    rows = LIGHTING.picture({"tiny": Measured(sample, np.zeros((FRAMES, 1, 8, 8)), 4, lambda: None)}, config)
    assert list(rows) == ["brightness 0.5", "brightness 1", "shadow 0.5", "shadow 1"]
    with FrameReader(clips[0].video) as reader:
        frames = reader.read(clips[0].frames)
    lit = apply_lighting(frames, config.lights()[1], clips[0].video.id, clips[0].frames).frames
    assert rows["brightness 1"] == pytest.approx(lit / 255, abs=1e-6)
    assert not np.allclose(rows["brightness 1"], frames / 255)


@pytest.fixture
def predicted(folder, monkeypatch):
    """Heads that see less of an object the stronger the light; gives what was asked of each."""
    asked = []
    defaults = {
        "features": {"model": {"pipeline": "tiny"}, "conditions": ["vd-t"], "noises": ["none"], "timesteps": [50]}
    }

    def predict(wanted, found, out):
        asked.append((wanted, out))
        strength = wanted.features.lighting.strength if wanted.features.lighting else 0
        for clip in clips_of(folder):
            for e in clip.video.expressions:
                truth = read_object_mask(clip.video, e.object_ids, clip.frames)
                place = out / "masks" / clip.video.id / e.id
                place.mkdir(parents=True, exist_ok=True)
                for k, mask in enumerate(truth):
                    shown = mask.copy()
                    shown.ravel()[np.flatnonzero(mask)[: round(strength * mask.sum() / 2)]] = False
                    Image.fromarray(255 * shown.astype(np.uint8)).save(place / f"{k:05d}.png")
        return SimpleNamespace(failures=())

    monkeypatch.setattr(lit_heads, "run_prediction", predict)

    def find(run):
        model = {"model": {"pipeline": "pixels" if run == "pixels' run" else "tiny"}}
        return HeadFolder(run, "digest", {"features": defaults["features"] | model}, {}, ())

    def find_real(name, encoder):
        return find_model("random:tiny" if name == "tiny" else name, encoder)

    monkeypatch.setattr(lit_heads, "find_head", find)
    monkeypatch.setattr(lit_heads, "find_model", find_real)
    return asked


def test_masks_of_heads_lose_what_the_light_takes(folder, predicted, tmp_path):
    config = configure(folder, kinds=["brightness", "shadow"], heads={"vd-t": "run"})
    told = []
    made = list(LIGHTING.beyond(config, tmp_path, True, lambda *what: told.append(what)))
    assert not [lack for _, lacks in made for lack in lacks]
    assert told == [("masks of vd-t", k, 5) for k in range(1, 6)]
    assert [path.relative_to(tmp_path).as_posix() for _, path in predicted] == [
        "vd-t/none",
        *(f"vd-t/{kind}-{strength}" for kind in ("brightness", "shadow") for strength in ("0.5", "1")),
    ]
    assert [wanted.features.lighting for wanted, _ in predicted] == [None, *config.lights()]
    assert {(w.features.videos.path, w.benchmark) for w, _ in predicted} == {(str(folder), "plain")}
    values = pd.concat([table for table, _ in made], ignore_index=True)
    assert not values.duplicated(["video", *LIGHTING.keys]).any()
    names = values[["backbone", "control", "condition", "noise", "timestep", "tap"]].drop_duplicates()
    assert names.to_numpy().tolist() == [["tiny", False, "vd-t", "none", "50", "head"]]
    for clip in clips_of(folder):
        truths = [read_object_mask(clip.video, e.object_ids, clip.frames) for e in clip.video.expressions]
        areas = np.array([truth.sum(axis=(1, 2)) for truth in truths])
        rows = values[values["video"] == clip.video.id].set_index(["measure", "kind", "strength"])["value"]
        for kind, strength in product(("brightness", "shadow"), (0.0, 0.5, 1.0)):
            kept = 1 - np.round(strength * areas / 2) / np.maximum(areas, 1)  # 1 where there is no object
            assert rows[IOU, kind, strength] == pytest.approx(kept.mean())
            assert rows[CHANGE, kind, strength] == pytest.approx(kept.mean() - 1)
    summary = summarise(table_means(values, LIGHTING.keys))
    paths = LIGHTING.draw(Tables(summary, pd.DataFrame()), config, tmp_path)
    assert [path.name for path in paths] == ["lighting-brightness-iou.pdf", "lighting-shadow-iou.pdf"]
    drawn = pd.read_csv(tmp_path / "lighting-shadow-iou.csv")
    assert drawn["series"].unique().tolist() == ["tiny, vd-t"]
    assert drawn["mean"].tolist() == sorted(drawn["mean"], reverse=True)
    assert set(LIGHTING.headline(summary)["measure"]) == {IOU, CHANGE}


def test_a_control_s_head_is_compared_with_the_model_s(folder, predicted, tmp_path):
    config = configure(folder, kinds=["brightness"], heads={"vd-t": "run", "pixels": "pixels' run"})
    values = pd.concat([table for table, _ in LIGHTING.beyond(config, tmp_path, True, None)], ignore_index=True)
    names = values[["backbone", "control", "condition", "noise", "timestep", "tap"]].drop_duplicates()
    assert names.to_numpy().tolist() == [
        ["tiny", False, "vd-t", "none", "50", "head"],
        ["pixels", True, "-", "-", "-", "head"],
    ]
    found = differences(table_means(values, LIGHTING.keys), "backbone")
    assert found[["first", "second", "condition"]].drop_duplicates().to_numpy().tolist() == [["tiny", "pixels", "vd-t"]]
    assert set(found["measure"]) == {IOU, CHANGE} and set(found["strength"]) == {0, 0.5, 1}
    assert not found["mean"].any()  # both heads see the same part of an object


def test_a_head_is_named_after_what_it_reads(folder, predicted, tmp_path):
    for heads, message in (
        ({"vd-i": "run"}, r"heads\.vd-i: the head in run was trained under vd-t; name it so"),
        ({"pixels": "run"}, r"heads\.pixels: the head in run reads features of 'tiny' and not of 'pixels'; give"),
    ):
        with pytest.raises(ConfigError, match=message):
            list(LIGHTING.beyond(configure(folder, heads=heads), tmp_path, True, None))
    assert not predicted
    assert list(LIGHTING.beyond(configure(folder), tmp_path, True, None)) == []


def test_figures_of_features(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {
            "backbone": backbone,
            "control": backbone == "pixels",
            "condition": condition,
            "noise": "-" if backbone == "pixels" else "none",
            "seed": 0,
            "timestep": "-" if backbone == "pixels" else "0",
            "tap": tap,
            "video": f"v{video}",
            "measure": measure,
            "kind": kind,
            "region": region,
            "strength": strength,
            "value": 1 - strength * rng.uniform(0.1, 0.3),
        }
        for backbone, condition, taps in (
            ("tiny", "vd-t", ("unet.up.2", "unet.in")),
            ("tiny", "vd-i", ("unet.up.2", "unet.in")),
            ("pixels", "-", ("pixels.8",)),
        )
        for tap in taps
        for video in range(4)
        for measure in (COSINE, CENTRED)
        for kind in ("brightness", "shadow")
        for region in ("object", "background")
        for strength in (0.0, 0.5, 1.0)
    ]
    summary = summary_of(rows, LIGHTING.keys)
    config = configure(kinds=["brightness", "shadow"])
    paths = LIGHTING.draw(Tables(summary, pd.DataFrame()), config, tmp_path)
    assert [path.name for path in paths] == [
        f"lighting-{kind}{what}.pdf" for kind in ("brightness", "shadow") for what in ("", "-taps")
    ]
    curves = pd.read_csv(tmp_path / "lighting-shadow.csv")
    assert curves["series"].unique().tolist() == ["tiny, vd-t", "tiny, vd-i", "pixels"]
    assert (
        set(curves["measure"]) == {CENTRED}
        and set(curves["region"]) == {"object"}
        and set(curves["kind"]) == {"shadow"}
    )
    taps = pd.read_csv(tmp_path / "lighting-brightness-taps.csv")
    assert set(taps["strength"]) == {1}
    assert taps["label"].unique().tolist() == ["unet.in", "unet.up.2", "pixels.8"]
    short = LIGHTING.headline(summary)
    assert set(short["strength"]) == {1} and set(short["measure"]) == {CENTRED}
