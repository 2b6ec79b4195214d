"""Layers as an analysis: known ranks and likenesses, of each video and of all, and the figures of them."""

from dataclasses import replace
from zlib import crc32

import numpy as np
import pandas as pd
import pytest
from planted import summary_of
from planted_store import PlantedItem, PlantedStore, all_rows, cell_of, spec_of

from vdprobe.analyses.layers import Moments, layer_statistics, sum_moments
from vdprobe.data.video import Expression, Video
from vdprobe.errors import ConfigError
from vdprobe.extraction.clip_work import ClipWork
from vdprobe.specs.load import build
from vdprobe.studies.analysis.cells import View, cells_of
from vdprobe.studies.analysis.layer_statistics import ALL, CKA, LAYERS, VIDEO
from vdprobe.studies.analysis.statistics import video_values
from vdprobe.studies.analysis.tables import Tables

FRAMES, CHANNELS = 3, 8


@pytest.fixture
def clips(tmp_path):
    """Four videos with two texts each."""
    texts = tuple(Expression(str(k), text) for k, text in enumerate(("a ring", "a star")))
    return tuple(ClipWork(Video(f"v{k}", tmp_path, expressions=texts), "d", (0, 1, 2)) for k in range(4))


def configure(**options):
    features = {"model": {"pipeline": "tiny"}, "videos": {"path": "v"}}
    return build(LAYERS.config, {"features": features, "places": 40, "common": 30, **options})


def noise(*name, channels=CHANNELS, side=8):
    rng = np.random.default_rng(crc32(repr(name).encode()))
    return rng.normal(size=(FRAMES, channels, side, side)).astype(np.float32)


def table_of(unit, make, config=None, **options):
    rows, lacks = all_rows(LAYERS.measure.rows(unit, PlantedStore(make, **options), config or configure()))
    return pd.DataFrame(rows), lacks


def values(table, statistic, over=VIDEO):
    rows = table[(table["statistic"] == statistic) & (table["over"] == over)]
    return video_values(rows.to_dict("records"), LAYERS.keys)["value"].to_numpy()


def test_statistics_are_those_of_the_places_drawn(clips):
    """Of all places here; of a video over its texts, and of all videos at once."""
    unit = (cell_of(clips),)
    config = configure(places=1000)
    table, lacks = table_of(unit, lambda key, item: noise(item.video, item.text), config)
    assert not lacks
    every = {c.video.id: [sum_moments(noise(c.video.id, text)) for text in c.texts] for c in clips}
    for clip in clips:
        one, two = every[clip.video.id]
        expected = layer_statistics(Moments.merge(one, two))
        found = table[(table["video"] == clip.video.id) & (table["over"] == VIDEO)].set_index("statistic")["value"]
        assert found["entropy_rank"] == pytest.approx(expected.entropy_rank)
        assert found["norm"] == pytest.approx(expected.norm)
        assert found["peak"] == pytest.approx(expected.peak)
    whole = [part for parts in every.values() for part in parts]
    expected = layer_statistics(Moments.merge(Moments.merge(*whole[:2]), _merged(whole[2:])))
    assert values(table, "participation", ALL) == pytest.approx(expected.participation)
    assert values(table, "entropy_rank", ALL).item() > values(table, "entropy_rank").mean()  # more places, less bias


def _merged(parts):
    return parts[0] if len(parts) == 1 else parts[0].merge(_merged(parts[1:]))


def test_no_more_places_than_asked_for(clips, monkeypatch):
    import vdprobe.studies.analysis.layer_statistics as module

    seen = []
    monkeypatch.setattr(module, "sum_moments", lambda features: seen.append(features.shape) or sum_moments(features))
    table_of((cell_of(clips),), lambda key, item: noise(item.video, item.text))
    assert seen == [(1, CHANNELS, 40, 1)] * 8


def test_a_rank_is_found(clips):
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(CHANNELS, CHANNELS)))[0][:3]

    def flat(key, item):
        return np.einsum("fchw,cd->fdhw", noise(item.video, channels=3, side=20), basis).astype(np.float32)

    table, _ = table_of((cell_of(clips, None),), flat, configure(places=1000))
    assert values(table, "entropy_rank") == pytest.approx(3, rel=0.02)


def test_the_share_of_the_text_of_each_video(clips):
    """A quarter of the variance; of one text there is nothing to tell, and of what no text has a part in no row."""

    def make(key, item):
        return noise(item.video) * np.sqrt(3) + noise(item.video, item.text)

    config = configure(places=1000)
    one_text = replace(clips[3], video=replace(clips[3].video, expressions=clips[3].video.expressions[:1]))
    table, lacks = table_of((cell_of((*clips[:3], one_text)),), make, config)
    assert not lacks
    shares = values(table, "text_share")
    assert shares[:3] == pytest.approx(0.25, abs=0.04)
    assert np.isnan(shares[3])
    summary = summary_of(table.to_dict("records"), LAYERS.keys).set_index("statistic").loc["text_share"]
    assert summary[["count", "absent"]].tolist() == [3, 1]
    without, _ = table_of((cell_of(clips, "vd-i"),), make, config)
    assert "text_share" not in set(without["statistic"])
    alone, _ = table_of((cell_of((one_text,)),), make, config)
    assert "text_share" not in set(LAYERS.headline(summary_of(alone.to_dict("records"), LAYERS.keys))["statistic"])


def test_likeness_of_two_taps_of_two_backbones_and_of_what_no_condition_has_a_part_in(clips):
    """`turned` is a rotation of the other tap, at twice its stride; the control is unrelated."""
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(CHANNELS, CHANNELS)))[0]
    unit = (
        cell_of(clips, tap="unet.in", model="one"),
        cell_of(clips, tap="unet.up.2", model="two"),
        cell_of(clips, tap="unet.in", backbone="random", model="three", control=True),
        cell_of(clips, None, tap="pixels.8", backbone="pixels", model="four", control=True),
    )
    one, two, three, four = (cell.spec.key for cell in unit)

    def make(key, item):
        coarse = noise(item.video, item.text)
        fine = coarse.repeat(2, axis=2).repeat(2, axis=3)
        turned = np.einsum("fchw,cd->fdhw", 3 * coarse, rotation).astype(np.float32)
        given = {one: (fine, 4), two: (turned, 8), three: (noise(item.video, item.text, 3, side=16), 4)}
        return given.get(key, (noise(item.video, 4), 8))

    assert len({one, two, three, four}) == 4
    table, lacks = table_of(unit, make)
    assert not lacks
    assert set(table["statistic"]) == {CKA}
    names = ["backbone", "tap", "other_backbone", "other_tap"]
    means = table[table["over"] == VIDEO].groupby(names)["value"].mean()
    assert len(means) == 6
    assert means["tiny", "unet.in", "tiny", "unet.up.2"] == pytest.approx(1, abs=1e-5)
    assert abs(means["tiny", "unet.in", "random", "unet.in"]) < 0.15
    assert abs(means["random", "unet.in", "pixels", "pixels.8"]) < 0.15
    pooled = table[table["over"] == ALL].set_index(names)["value"]
    assert pooled["tiny", "unet.in", "tiny", "unet.up.2"] == pytest.approx(1, abs=1e-5)


def test_frames_whose_edge_the_coarse_grid_does_not_fill_are_compared_where_both_do(clips):
    """20 pixels: five cells at stride 4, two whole ones and a half at stride 8."""
    unit = (cell_of(clips, tap="unet.in", model="one"), cell_of(clips, tap="unet.up.2", model="two"))

    class Item(PlantedItem):
        @property
        def attrs(self):
            return {"frame_size": (20, 20)}

    class Store:
        def get(self, key, item):
            coarse = noise(item.video, item.text, side=3)
            fine = coarse.repeat(2, axis=2).repeat(2, axis=3)[:, :, :5, :5]
            return Item(fine, 4) if key == unit[0].spec.key else Item(coarse, 8)

    rows, lacks = all_rows(LAYERS.measure.rows(unit, Store(), configure()))
    assert not lacks
    found = pd.DataFrame(rows)
    assert found["value"].to_numpy() == pytest.approx(1, abs=1e-5)


def test_units_are_each_cell_and_the_taps_under_the_same_condition(clips):
    views = [
        View(
            "tiny",
            False,
            0,
            (spec_of(None, ("vae.down.2",)), spec_of("vd-i", ("a", "b")), spec_of("vd-t", ("a", "b"))),
            clips,
        ),
        View("random", True, 0, (spec_of("vd-t", ("a", "b"), "r"),), clips),
    ]
    units = LAYERS.measure.units(views, configure())
    cells = [cell for view in views for spec in view.specs for cell in cells_of(view, spec)]
    assert [unit for unit in units if len(unit) == 1] == [(cell,) for cell in cells]
    together = [[(c.view.backbone, c.spec.label, c.tap) for c in unit] for unit in units if len(unit) > 1]
    vae = ("tiny", cells[0].spec.label, "vae.down.2")
    assert together == [
        [("tiny", "vd-i/none", "a"), ("tiny", "vd-i/none", "b"), vae],
        [*((who, "vd-t/none", tap) for who in ("tiny", "random") for tap in ("a", "b")), vae],
    ]
    alone = (spec_of(None, ("vae.down.1", "vae.down.2")), spec_of("vd-t", ("a",)))
    both = LAYERS.measure.units([View("tiny", False, 0, alone, clips)], configure())
    assert [[cell.tap for cell in unit] for unit in both if len(unit) > 1] == [
        ["a", "vae.down.1", "vae.down.2"],
        ["vae.down.1", "vae.down.2"],
    ]
    rows, _ = all_rows(LAYERS.measure.rows(both[3], PlantedStore(lambda key, item: noise(key)), configure()))
    assert {(row["tap"], row["other_tap"]) for row in rows} == {("a", "vae.down.1"), ("a", "vae.down.2")}
    only_frames = [View("tiny", False, 0, (spec_of(None, ("vae.down.1", "vae.down.2")),), clips)]
    assert [len(unit) for unit in LAYERS.measure.units(only_frames, configure())] == [1, 1, 2]


def test_clips_that_a_backbone_lacks_and_features_that_do_not_vary_are_said(clips):
    unit = (cell_of(clips, model="one"), cell_of(clips[1:], tap="unet.in", backbone="random", model="two"))
    table, lacks = table_of(unit, lambda key, item: noise(item.video, item.text, key))
    assert [(lack.where, lack.error) for lack in lacks] == [
        ("v0[0..2]", "is no clip of 'random', so that nothing can be compared there")
    ]
    assert set(table["video"]) == {"v1", "v2", "v3", "(all)"}
    flat = lambda key, item: np.ones((FRAMES, CHANNELS, 8, 8), np.float32)  # noqa: E731
    table, lacks = table_of((cell_of(clips[:1]),), flat)
    assert table.empty
    assert [lack.where for lack in lacks] == ["v0, tiny, vd-t/none, t = 0, unet.up.2", "(all), " + lacks[0].where[4:]]
    assert "features are the same in all 80 places" in lacks[0].error
    broken = lambda key, item: np.full((FRAMES, CHANNELS, 8, 8), np.nan, np.float32)  # noqa: E731
    _, lacks = table_of((cell_of(clips[:1]),), broken)
    assert "features hold NaN or infinite values" in lacks[0].error


def test_wrong_options():
    for options in ({"places": 1}, {"common": 3}):
        with pytest.raises(ConfigError, match=r"must be at least 2 and common \(="):
            configure(**options)


def test_a_value_of_all_videos_is_no_video_and_makes_none_absent(clips):
    table, _ = table_of((cell_of(clips),), lambda key, item: noise(item.video, item.text))
    summary = summary_of(table.to_dict("records"), LAYERS.keys)
    counts = summary.groupby("over")[["count", "absent"]].max()
    assert counts.loc[VIDEO].tolist() == [4, 0]
    assert counts.loc[ALL].tolist() == [1, 0]
    assert set(LAYERS.headline(summary)["statistic"]) == {"entropy_rank", "top_share", "text_share"}


def test_figures(clips, tmp_path):
    """The control has another condition alone, and is compared under that one."""
    taps = ("vae.down.2", "unet.up.2", "unet.in")
    views = [
        View("tiny", False, 0, (spec_of("vd-i", taps[1:]), spec_of("vd-t", taps[1:]), spec_of(None, taps[:1])), clips),
        View("random UNet", True, 0, (spec_of("vd-t", taps[1:], "r"), spec_of(None, ("pixels.8",), "r")), clips),
    ]
    config = configure()
    store = PlantedStore(lambda key, item: noise(key, item.video, item.text))
    rows = []
    for unit in LAYERS.measure.units(views, config):
        rows += all_rows(LAYERS.measure.rows(unit, store, config))[0]
    tables = Tables(summary_of(rows, LAYERS.keys), pd.DataFrame())
    paths = LAYERS.draw(tables, config, tmp_path)
    assert [path.name for path in paths] == [
        "layers-entropy-rank.pdf",
        "layers-top-share.pdf",
        "layers-text-share.pdf",
        "layers-cka.pdf",
        "layers-cka-random-UNet.pdf",
    ]
    own = pd.read_csv(tmp_path / "layers-cka.csv")
    assert (
        list(dict.fromkeys(own["row"])) == list(dict.fromkeys(own["column"])) == ["vae.down.2", "unet.in", "unet.up.2"]
    )
    grid = own.pivot(index="row", columns="column", values="value")
    assert np.allclose(grid, grid.T)
    assert np.diag(grid.loc[list(taps), list(taps)]).tolist() == [1, 1, 1]
    other = pd.read_csv(tmp_path / "layers-cka-random-UNet.csv")
    assert list(dict.fromkeys(other["row"])) == ["vae.down.2", "unet.in", "unet.up.2"]
    assert list(dict.fromkeys(other["column"])) == ["unet.in", "unet.up.2", "pixels.8"]
    assert len(other) == 9
    assert (other["count"] == 4).all()
    shown = LAYERS.draw(
        tables, replace(config, shown=replace(config.shown, condition="vd-t", tap="unet.up.2")), tmp_path
    )
    assert shown == paths
    assert not np.allclose(pd.read_csv(tmp_path / "layers-cka.csv")["value"], own["value"])
