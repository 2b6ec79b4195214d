import numpy as np
import pytest
import torch

from vdprobe.analyses import propagation
from vdprobe.analyses.propagation import ObjectScore, Propagation, pixel_patches, propagate_labels, propagation_scores
from vdprobe.errors import ConfigError, DataError

DEFAULT = Propagation()


def random_features(frames=4, channels=64, height=12, width=16):
    return torch.randn(frames, channels, height, width, generator=torch.Generator().manual_seed(0))


def still(frames=4, **size):
    return random_features(1, **size).expand(frames, -1, -1, -1)


def test_a_still_clip_keeps_its_mask():
    """Stripes of whole cells, edges all straight: exact."""
    mask = np.repeat(np.repeat([[0, 0, 3, 3, 3, 1, 0, 0]], 48, axis=0), 16, axis=1).astype(np.uint8)
    found = propagate_labels(still(height=6, width=16), mask, DEFAULT)
    assert found.dtype == np.uint8
    assert all(np.array_equal(frame, mask) for frame in found)


def test_a_still_clip_moves_an_edge_by_less_than_a_cell():
    y, x = np.mgrid[:96, :128]
    distance = np.hypot(y - 45, x - 70)
    found = propagate_labels(still(), (distance < 30).astype(np.int64), DEFAULT)
    assert found[:, distance < 26].all()
    assert not found[:, distance > 34].any()


def test_labels_move_with_the_features():
    """Frame k is frame 0 moved by k cells to the right and down, around the border: so is its mask."""
    first = random_features(1)[0]
    features = torch.stack([first.roll((k, k), (1, 2)) for k in range(4)])
    mask = np.zeros((24, 32), np.int64)  # cells of two pixels, which bilinear upsampling keeps square
    mask[6:12, 4:14], mask[14:18, 18:24] = 1, 2
    for k, found in enumerate(propagate_labels(features, mask, Propagation(topk=1, radius=2.0))):
        assert np.array_equal(found, np.roll(mask, (2 * k, 2 * k), (0, 1)))


def test_a_planted_label_field_is_read_from_the_features():
    """Features say which object a cell belongs to, in frames that share nothing else."""
    rng = np.random.default_rng(0)
    field = np.kron(rng.integers(0, 3, (4, 3, 4)), np.ones((1, 2, 2), int))
    field[:, 0, :3] = 0, 1, 2
    features = torch.nn.functional.one_hot(torch.from_numpy(field)).movedim(-1, 1).float()
    found = propagate_labels(features, field[0], Propagation(radius=2.0))
    assert np.array_equal(found, field)


def lone_object(distance):
    """An object in one cell of frame 0, whose feature appears only `distance` cells to the right in frame 1."""
    features = torch.zeros(2, 2, 4, 16)
    features[:, 1] = 1
    features[0, :, 2, 3] = features[1, :, 2, 3 + distance] = torch.tensor([1.0, 0.0])
    mask = np.zeros((8, 32), np.int64)
    mask[4:6, 6:8] = 7
    return features, mask


@pytest.mark.parametrize(("radius", "expected"), [(0.25, 4), (3.9 / 16, 0), (1.0, 4)])
def test_a_likeness_counts_within_the_radius_alone(radius, expected):
    found = propagate_labels(*lone_object(4), Propagation(topk=1, radius=radius))
    assert np.count_nonzero(found[1]) == expected
    assert not expected or (found[1, 4:6, 14:16] == 7).all()


def test_the_radius_is_a_share_of_the_grid():
    """The same scene at half the stride: twice the cells, the same reach."""
    features, mask = lone_object(4)
    fine = features.repeat_interleave(2, -1).repeat_interleave(2, -2)
    assert (propagate_labels(fine, mask, Propagation(topk=1))[1] == 7).sum() == 4
    features, mask = lone_object(5)
    fine = features.repeat_interleave(2, -1).repeat_interleave(2, -2)
    assert not propagate_labels(fine, mask, Propagation(topk=1))[1].any()


@pytest.mark.parametrize(("context", "expected"), [(0, 0), (1, 4), (2, 4)])
def test_context_bridges_what_the_first_frame_does_not_show(context, expected):
    """The object changes: in frame 2 it resembles its look in frame 1, but in frame 0 the ground more."""
    features = torch.zeros(3, 3, 4, 4)
    features[:, 2] = 1
    features[0, :, 1, 1] = torch.tensor([1.0, 0.0, 0.0])
    features[1, :, 1, 1] = torch.tensor([0.8, 0.6, 0.0])
    features[2, :, 1, 2] = torch.tensor([0.0, 0.9, 0.1])
    mask = np.zeros((8, 8), np.int64)
    mask[2:4, 2:4] = 1
    found = propagate_labels(features, mask, Propagation(topk=1, radius=1.0, context=context))
    assert found[1, 2:4, 2:4].all()
    assert found[2].sum() == found[2, 2:4, 4:6].sum() == expected


def test_votes_are_weighed_by_the_softmax_of_their_likeness():
    """Two cells, the object's and the ground's, seen at cosines 0.8 and 0.6 by every cell of frame 1."""
    features = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.8, 0.8], [0.6, 0.6]]])[:, :, None, :]
    settings = Propagation(topk=2, radius=1.0, temperature=0.1)
    units, shares = features.movedim(1, -1), torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]]])
    found = propagation._look_up(units[1], units[:1], shares, settings)
    weight = np.exp(8) / (np.exp(8) + np.exp(6))
    assert found[0, :, 1].tolist() == pytest.approx([weight, weight], abs=1e-6)


@pytest.mark.parametrize("columns", range(25, 32))
def test_a_cell_starts_with_the_share_of_it_that_an_object_fills(columns):
    """Its edge stays where it was within a cell of 8 columns; nearest sampling would fill or empty the cell."""
    mask = np.zeros((32, 64), np.int64)
    mask[:, :columns] = 1
    found = propagate_labels(still(height=4, width=8), mask, DEFAULT)
    assert (abs(found.sum(axis=2) - columns) <= 1).all()


def test_tiles_change_no_value(monkeypatch):
    features, mask = random_features(5, 16, 13, 18), np.zeros((130, 180), np.int64)
    mask[20:70, 30:110], mask[80:120, 90:160] = 1, 2
    whole = propagate_labels(features, mask, DEFAULT)
    assert len(np.unique(whole[4])) == 3
    for side in (1, 5, 64):
        monkeypatch.setattr(propagation, "TILE", side)
        assert np.array_equal(propagate_labels(features, mask, DEFAULT), whole)


def test_magnitude_does_not_matter():
    features, mask = random_features(), np.zeros((24, 32), np.int64)
    mask[6:12, 4:14] = 1
    scaled = features * torch.rand(4, 1, 12, 16, generator=torch.Generator().manual_seed(1)).add(0.5)
    assert np.array_equal(propagate_labels(scaled, mask, DEFAULT), propagate_labels(features, mask, DEFAULT))


def test_pixel_patches_hold_all_pixels_of_their_square():
    frames = np.random.default_rng(0).integers(0, 256, (2, 16, 24, 3), dtype=np.uint8)
    patches = pixel_patches(frames)
    assert patches.shape == (2, 3 * 64, 2, 3)
    square = frames[1, 8:16, 16:24].transpose(2, 0, 1).reshape(-1) / 127.5 - 1
    assert patches[1, :, 1, 2].numpy() == pytest.approx(square, abs=1e-6)


def test_scores_of_each_object_over_the_later_frames():
    truth = np.zeros((3, 20, 30), np.int64)
    truth[0, 2:8, 2:8], truth[0, 12:18, 20:28] = 1, 4
    truth[1, 2:8, 2:8], truth[2, 2:8, 2:8] = 1, 1
    truth[1:, 12:18, 2:8] = 9  # appears later: not scored
    masks = truth.copy()
    masks[0] = 0  # the first frame is given, hence not scored
    masks[2, 2:8, 2:8] = 0
    masks[2, 0:4, 20:28] = 4  # where the truth shows none: 0; in frame 1 both show none: 1
    assert propagation_scores(masks, truth) == (ObjectScore(1, 0.5, 0.5), ObjectScore(4, 0.5, 0.5))
    assert ObjectScore(1, 0.25, 0.75).jf == 0.5


def test_errors_say_what_to_do():
    features, mask = random_features(2), np.ones((24, 32), np.int64)
    with pytest.raises(DataError, match="the first mask has no object; begin the clip at"):
        propagate_labels(features, np.zeros_like(mask), DEFAULT)
    with pytest.raises(DataError, match="has 8x24 pixels, fewer than the features' 16x12 cells; give the mask at"):
        propagate_labels(features, mask[:, :8], DEFAULT)
    with pytest.raises(DataError, match="features hold NaN or infinite values"):
        propagate_labels(features / 0, mask, DEFAULT)
    with pytest.raises(DataError, match="frames of 854x480 pixels do not divide into patches of 8"):
        pixel_patches(np.zeros((1, 480, 854, 3), np.uint8))
    with pytest.raises(DataError, match=r"masks are \(2, 4, 4\), the truth is \(2, 8, 8\); bring both"):
        propagation_scores(np.ones((2, 4, 4), int), np.ones((2, 8, 8), int))
    for truth, found in ((np.ones((1, 4, 4), int), "1 frames with 1"), (np.zeros((3, 4, 4), int), "3 frames with 0")):
        with pytest.raises(DataError, match=f"{found} objects in the first cannot be scored"):
            propagation_scores(truth, truth)


@pytest.mark.parametrize(
    "wrong", [{"topk": 0}, {"context": -1}, {"radius": -0.1}, {"temperature": 0.0}, {"radius": float("nan")}]
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError, match="topk must be at least 1, context and radius at least 0"):
        Propagation(**wrong)


def test_queries_look_among_keys():
    """Each place asks for what its left neighbour's key says: the object moves to the right by one place."""
    places = torch.eye(16).reshape(4, 4, 16)
    keys = places.permute(2, 0, 1).expand(2, -1, -1, -1)
    queries = places.roll(1, dims=1).permute(2, 0, 1).expand(2, -1, -1, -1)
    mask = np.zeros((4, 4), dtype=np.uint8)
    mask[1, 1] = 1
    settings = Propagation(topk=1, context=0, radius=1.0)
    moved = propagate_labels(queries, mask, settings, keys)[1]
    assert moved.tolist() == np.roll(mask, 1, axis=1).tolist()
    assert propagate_labels(keys, mask, settings)[1].tolist() == mask.tolist()
    with pytest.raises(DataError, match="NaN or infinite"):
        propagate_labels(queries, mask, settings, keys * torch.nan)
