import numpy as np
import pytest
import torch

from vdprobe.errors import ConfigError, DataError
from vdprobe.look.colours import colour_map, fit_colours, sample_places
from vdprobe.look.decoded import DecodedClip
from vdprobe.look.features import ClipFeatures
from vdprobe.look.geometry import Grid
from vdprobe.look.labels import carry_labels, overlaps
from vdprobe.look.outlines import LONGEST, SCALE, outlines, shrunk


def decoded(values):
    rows, columns = values.shape[2:]
    return DecodedClip(ClipFeatures(values, Grid(rows, columns, 8, 8 * rows, 8 * columns)))


def test_colours_compare_between_clips():
    rng = np.random.default_rng(1)
    one, other = (rng.standard_normal((3, 9, 4, 5)).astype(np.float32) for _ in range(2))
    other[:, :, 0, 0] = one[:, :, 0, 0]  # the same features in another clip
    basis = fit_colours([sample_places(decoded(one), 99), sample_places(decoded(other), 99)])
    np.testing.assert_array_equal(colour_map(decoded(one), basis)[:, 0, 0], colour_map(decoded(other), basis)[:, 0, 0])


def test_a_basis_belongs_to_a_spec_and_a_tap(viewer, looked_at):
    spec = viewer.reader.specs()[0]
    columns = [
        viewer.column(spec.key, video.replace("/", "_"), "0-4", None, "unet.up.1", t)
        for video in looked_at.VIDEOS
        for t in spec.timesteps
    ]
    for column in columns:
        viewer.colours(column)
    assert len(viewer._bases) == 1
    assert viewer.basis(spec, "unet.up.1").clips == 4  # two clips at two levels


def test_principal_axes_are_those_of_numpy_with_a_fixed_sign():
    x = np.random.default_rng(2).standard_normal((500, 7)) * np.arange(1, 8)
    basis = fit_colours([torch.from_numpy(x).float()])
    _, _, axes = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(basis.axes.numpy().T @ axes[:3].T), np.eye(3), atol=1e-3)
    assert (basis.axes.abs().argmax(dim=0) == basis.axes.argmax(dim=0)).all()


def test_fewer_than_three_channels_have_colours():
    clip = decoded(np.random.default_rng(0).standard_normal((2, 2, 3, 3)).astype(np.float32))
    assert colour_map(clip, fit_colours([sample_places(clip, 99)])).shape == (2, 3, 3, 3)


@pytest.mark.parametrize("flip", [False, True])
def test_a_label_is_carried_both_ways_in_video_coordinates(flip, looked_at):
    values = looked_at.features(looked_at.make_spec())["unet.up.1"][0][:, :, :5]
    truth = np.zeros((5, 40, 64), np.int64)
    for k in range(5):
        truth[k, 8:24, 8 * k : 8 * k + 16] = 1
    if flip:
        values = values[..., ::-1].copy()
    clip = DecodedClip(ClipFeatures(values, Grid(5, 8, 8, 40, 64, flip)))
    carried = carry_labels(clip, truth[2], 2)
    assert carried.shape == truth.shape
    np.testing.assert_array_equal(carried[2], truth[2])
    scores = overlaps(carried, truth)
    assert scores[2] == 1 and min(scores) > 0.7


def test_a_map_that_reaches_into_the_padding_keeps_labels_where_they_are():
    values = np.random.default_rng(0).standard_normal((1, 6, 3, 3)).astype(np.float32).repeat(2, axis=0)
    clip = DecodedClip(ClipFeatures(values, Grid(3, 3, 16, 40, 36)))  # 48 x 48 pixels over 40 x 36
    given = np.zeros((40, 36), np.int64)
    given[:16, :16] = 1
    carried = carry_labels(clip, given, 0)
    assert carried.shape == (2, 40, 36)
    assert overlaps(carried, np.stack([given, given]))[1] > 0.9


def test_a_click_carries_the_object_under_it_and_else_a_disc(viewer, looked_at):
    column = viewer.column(viewer.reader.specs()[0].key, looked_at.VIDEOS[0], "0-4", None, "unet.up.1", 50)
    on_object = viewer.carried(column, 0, (12 / 64, 12 / 40))
    assert on_object.objects == (1,) and on_object.overlaps[0] == 1 and min(on_object.overlaps) > 0.7
    everything = viewer.carried(column, 0, None)
    assert everything.outlines == on_object.outlines
    beside = viewer.carried(column, 0, (60 / 64, 36 / 40))
    assert beside.overlaps is None and beside.outlines[0][0] and beside.outlines[0] != on_object.outlines[0]
    with pytest.raises(ConfigError, match="no frame 9"):
        viewer.carried(column, 9, None)


def test_without_masks_a_click_carries_a_disc_and_nothing_else_can_be(looked_at, tmp_path):
    from vdprobe.look.viewer import open_viewer

    looked_at.make_store(tmp_path)
    for path in (tmp_path / "masks").rglob("*.png"):
        path.unlink()
    viewer = open_viewer(tmp_path / "store")
    column = viewer.columns(viewer.first_view())[0]
    assert viewer.carried(column, 0, (0.5, 0.5)).outlines[0][0]
    with pytest.raises(DataError):
        viewer.carried(column, 0, None)


def test_outlines_lie_around_the_mask():
    labels = np.zeros((2, 20, 40), np.uint8)
    labels[0, 5:10, 10:30] = 3
    found = outlines(labels, [3])
    corners = np.array(found[0][0][0]).reshape(-1, 2) / SCALE
    np.testing.assert_allclose([corners.min(axis=0), corners.max(axis=0)], [[0.25, 0.25], [0.75, 0.5]], atol=0.001)
    assert found[1] == [[]]


def test_masks_are_shrunk_to_their_nearest_labels_and_not_below_the_grid():
    labels = np.zeros((1, 1000, 2000), np.uint8)
    labels[:, :, 1000:] = 7
    small = shrunk(labels)
    assert small.shape == (1, LONGEST // 2, LONGEST) and set(np.unique(small)) == {0, 7}
    assert (small[0, :, : LONGEST // 2] == 0).all() and (small[0, :, LONGEST // 2 :] == 7).all()
    assert shrunk(labels, (300, 600)).shape == (1, 300, 600)
