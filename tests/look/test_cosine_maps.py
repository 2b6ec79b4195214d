import numpy as np
import pytest
import torch

from vdprobe.look.cache import BoundedCache
from vdprobe.look.cosines import cosine_map
from vdprobe.look.decoded import DecodedClip
from vdprobe.look.features import ClipFeatures, FeatureReader
from vdprobe.look.geometry import Grid
from vdprobe.look.viewer import Column


def by_numpy(values, frame, cell, centred):
    x = np.asarray(values, np.float64)
    if centred:
        x = x - x.mean(axis=(0, 2, 3), keepdims=True)
    query = x[frame, :, cell[0], cell[1]]
    return np.einsum("fchw,c->fhw", x, query) / (np.linalg.norm(x, axis=1) * np.linalg.norm(query))


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("channels", [3, 64, 150])
def test_a_map_equals_numpy(channels, centred):
    values = np.random.default_rng(0).standard_normal((4, channels, 5, 6)).astype(np.float16) + np.float16(3)
    clip = DecodedClip(ClipFeatures(values, Grid(5, 6, 8, 40, 48)))
    found = cosine_map(clip, 2, (3, 1), centred=centred)
    np.testing.assert_allclose(found, by_numpy(values, 2, (3, 1), centred), atol=2e-6)
    assert found[2, 3, 1] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16", "int8"])
def test_a_map_of_stored_features_equals_numpy_whatever_their_type(dtype, looked_at, tmp_path):
    spec = looked_at.make_spec(store_dtype=dtype)
    store = looked_at.make_store(tmp_path, spec)
    reader = FeatureReader(tmp_path / "store")
    entry = reader.clips(reader.specs()[0])[0]
    clip = DecodedClip(reader.read(entry, "unet.up.2", 261))
    item = next(iter(store.items()))
    stored = item.read("unet.up.2", 261)[:, :, : looked_at.HEIGHT // looked_at.STRIDE]  # without the padding
    assert clip.grid.rows == looked_at.HEIGHT // looked_at.STRIDE < item.read("unet.up.2", 261).shape[2]
    np.testing.assert_allclose(cosine_map(clip, 1, (2, 2)), by_numpy(stored, 1, (2, 2), False), atol=2e-6)


def test_a_place_without_a_feature_is_like_nothing():
    values = np.ones((2, 3, 2, 2), np.float32)
    values[0, :, 0, 0] = 0
    clip = DecodedClip(ClipFeatures(values, Grid(2, 2, 8, 16, 16)))
    assert np.isfinite(cosine_map(clip, 0, (0, 0))).all()
    assert cosine_map(clip, 1, (1, 1))[0, 0, 0] == 0


def test_a_click_is_the_same_point_of_the_video_in_a_mirrored_spec():
    straight, mirrored = Grid(5, 8, 8, 40, 64), Grid(5, 8, 8, 40, 64, flip=True)
    assert straight.cell(0.01, 0.99) == (4, 0)
    assert mirrored.cell(0.01, 0.99) == (4, 7)
    for grid in (straight, mirrored, Grid(3, 5, 16, 40, 70, flip=True)):
        for row in range(grid.rows):
            for column in range(grid.columns):
                x, y = grid.centre(row, column)
                if 0 <= x <= 1 and 0 <= y <= 1:  # the last cell's middle may lie in the padding
                    assert grid.cell(x, y) == (row, column)
    assert straight.cell(1.0, 1.0) == (4, 7)  # the very edge


def test_two_specs_are_asked_at_one_point_of_the_video(viewer, looked_at):
    first, second = (spec.key for spec in viewer.reader.specs())
    maps = []
    for key in (first, second):
        column = viewer.column(key, looked_at.VIDEOS[0], "0-4", None, "unet.up.1", 50)
        values, _ = viewer.cosines(column, 0, 12 / 64, 12 / 40)  # in the square
        maps.append(values)
        assert values[0, 1, 1] == pytest.approx(1, abs=1e-3)
        assert values[4, 1, 5] > 0.7 > values[4, 1, 1]  # where the square has gone
    assert first != second


class Block:
    def __init__(self, nbytes):
        self.nbytes = nbytes


def test_memory_stays_within_its_limit_and_the_oldest_goes_first():
    cache, made = BoundedCache(100), []

    def get(key, size=40):
        return cache.get(key, lambda: made.append(key) or Block(size))

    get("a"), get("b"), get("a"), get("c")
    assert cache.nbytes <= 100
    get("a")
    assert made == ["a", "b", "c"]
    get("b")
    assert made == ["a", "b", "c", "b"]
    get("large", 1000)
    assert cache.nbytes <= 100 and get("a") is get("a")


def test_clips_of_a_viewer_stay_within_its_memory(filled, looked_at):
    from vdprobe.look.viewer import open_viewer

    viewer = open_viewer(filled / "store", memory=12_000)
    for spec in viewer.reader.specs():
        for video in looked_at.VIDEOS:
            for tap in looked_at.TAPS:
                viewer.cosines(viewer.column(spec.key, video.replace("/", "_"), "0-4", None, tap, 50), 0, 0.5, 0.5)
                assert 0 < viewer.clips.nbytes <= 12_000


def test_what_was_decoded_once_is_not_read_again(viewer, looked_at, monkeypatch):
    column = viewer.column(viewer.reader.specs()[0].key, looked_at.VIDEOS[0], "0-4", None, "unet.up.1", 50)
    first, _ = viewer.cosines(column, 0, 0.5, 0.5)
    monkeypatch.setattr(viewer.reader, "read", None)
    again, _ = viewer.cosines(column, 0, 0.5, 0.5)
    assert torch.equal(torch.from_numpy(first), torch.from_numpy(again))
    assert isinstance(column, Column)
