import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.utils.extmath import svd_flip

from vdprobe.analyses.consistency import (
    ESTIMATORS,
    REGIONS,
    consistency,
    make_tracks,
    paper_features,
    principal_planes,
    shuffled,
    track_features,
    video_mean,
)
from vdprobe.analyses.roi import cosines
from vdprobe.errors import DataError

RAW = ESTIMATORS[1:]
CENTRED = ("masked_mean_centred", "roi_align_centred")


def noise(frames=4, channels=64, seed=0):
    return np.random.default_rng(seed).normal(size=(frames, channels, 12, 16)).astype(np.float32)


def still(frames=4, seed=0):
    return noise(1, seed=seed).repeat(frames, axis=0)


def objects(frames=4, **places):
    """Masks at eight pixels a cell, from the cells (left, top, right, bottom past the last) of each object."""
    masks = {}
    for name, (left, top, right, bottom) in places.items():
        masks[name] = np.zeros((frames, 96, 128), bool)
        masks[name][:, 8 * top : 8 * bottom, 8 * left : 8 * right] = True
    return masks


TWO = {"1": (1, 2, 6, 6), "2": (9, 4, 14, 10)}


def similarity(features, masks, seed=0):
    """The value of each (object, gap, estimator, region)."""
    tracks = make_tracks(masks, features.shape[2:], seed=seed)
    return table(consistency(track_features(features, video_mean(features), tracks)), tracks, REGIONS)


def shuffled_similarity(features, masks, other):
    tracks, others = (make_tracks(masks, video.shape[2:]) for video in (features, other))
    own = track_features(features, video_mean(features), tracks)
    its = track_features(other, video_mean(other), others, first=1)
    return table(shuffled(own, its)[:, None], tracks, ["shuffled"])


def table(values, tracks, regions):
    gaps = range(1, len(tracks.frames))
    names = ["estimator", "region", "object", "gap"]
    index = pd.MultiIndex.from_product([ESTIMATORS, regions, tracks.objects, gaps], names=names)
    return pd.Series(values.ravel(), index).reorder_levels(["object", "gap", "estimator", "region"]).sort_index()


def test_every_object_gap_estimator_and_region_has_a_value():
    found = pd.concat(
        [similarity(noise(), objects(**TWO)), shuffled_similarity(noise(), objects(**TWO), noise(seed=1))]
    )
    assert not found.index.duplicated().any()
    assert len(found) == 2 * 3 * len(ESTIMATORS) * 4
    assert found.between(-1, 1).all()


def test_a_still_video_is_the_same_in_all_frames():
    found = similarity(still(), objects(**TWO))
    assert found.xs("object", level="region").to_numpy() == pytest.approx(1)
    assert (found.xs("other", level="region") < 0.999).all()
    assert (found.xs("background", level="region") < 0.999).all()


def test_independent_uniform_values_score_three_quarters():
    """E[uv] / E[u²] = (1/4) / (1/3): what min-max scaling makes of values that have nothing in common."""
    rng = np.random.default_rng(0)
    values = cosines(*(paper_features(rng.uniform(-3, 5, (400, 98))) for _ in range(2)))
    assert np.mean(values) == pytest.approx(0.75, abs=0.01)


def test_independent_frames_score_nothing_but_for_the_paper():
    """Noise that shares one direction: uncentred cosines are high as well."""
    found = similarity(noise(20) + 1, objects(20, **TWO))
    shuffled = shuffled_similarity(noise(20) + 1, objects(20, **TWO), noise(20, seed=1) + 1)
    for values in (found.xs("object", level="region"), found.xs("background", level="region"), shuffled):
        means = values.groupby("estimator").mean()
        assert means[list(CENTRED)].to_numpy() == pytest.approx(0, abs=0.05)
        assert means["masked_mean"] > 0.9
        assert 0.5 < means["paper"] < 0.95


def test_a_planted_frame_is_found():
    """Frame 2 alone repeats frame 0, of other frames that share nothing with it."""
    features = noise()
    features[2] = features[0]
    found = similarity(features, objects(**TWO)).xs("object", level="region")
    assert found.xs(2, level="gap").to_numpy() == pytest.approx(1)
    assert (found.drop(2, level="gap") < 0.99).all()
    for estimator in CENTRED:
        assert abs(found.xs(estimator, level="estimator").drop(2, level="gap")).max() < 0.5


def test_shuffled_frames_are_those_of_the_other_video():
    """The other video's frame 3 is this one's frame 0: found there, by the object's place."""
    features, other = noise(), noise(seed=1)
    other[3] = features[0]
    found = shuffled_similarity(features, objects(**TWO), other)
    uncentred = found.loc[:, :, ["paper", "masked_mean", "roi_align"]]
    assert uncentred.xs(3, level="gap").to_numpy() == pytest.approx(1)
    assert (uncentred.drop(3, level="gap") < 0.99).all()


def test_each_video_is_centred_by_its_own_mean():
    features, other = noise(), noise(seed=1)
    apart = shuffled_similarity(features + 3, objects(**TWO), other - 5).loc[:, :, list(CENTRED)]
    assert apart.to_numpy() == pytest.approx(
        shuffled_similarity(features, objects(**TWO), other).loc[:, :, list(CENTRED)].to_numpy(), abs=1e-5
    )


def test_planes_are_principal_components_with_the_signs_of_svd_flip():
    for shape in ((5, 12, 16), (40, 4, 6)):
        frame = np.random.default_rng(0).normal(size=shape)
        flat = frame.reshape(len(frame), -1).T
        u, s, v = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
        u, _ = svd_flip(u, v)
        planes = principal_planes(frame).reshape(2, -1)
        assert planes == pytest.approx((u * s)[:, :2].T)
        fitted = PCA(n_components=2, svd_solver="full").fit_transform(flat)
        assert abs(planes) == pytest.approx(abs(fitted.T))  # whose signs depend on the version


def test_the_sign_of_a_frame_changes_the_paper_alone():
    """One cell of the background passes that of the opposite sign: the object's own feature stays as it is."""
    features = np.zeros((2, 4, 12, 16))
    features[:, 0] = np.random.default_rng(0).uniform(-1, 1, (12, 16))
    features[:, 1] = np.random.default_rng(1).uniform(-0.5, 0.5, (12, 16))
    features[:, 0] -= features[:, 0].mean()
    features[0, 0, 11, 14:] = 2.0, -2.2
    features[1, 0, 11, 14:] = 2.2, -2.0
    planes = [principal_planes(frame) for frame in features]
    assert planes[0][0, 2:6, 1:6] == pytest.approx(-planes[1][0, 2:6, 1:6], abs=0.02)
    found = similarity(features, objects(2, **TWO))["1", 1, :, "object"]
    assert found[list(RAW)].to_numpy() == pytest.approx(1, abs=1e-3)
    assert found["paper"] < 0.9


def test_the_paper_recipe_step_by_step():
    """Feature of the object of frame 0 and of frame 1, from scikit-learn's PCA and a loop over bins."""
    features, vectors = noise(2), []
    for frame in features:
        flat = frame.reshape(64, -1).T.astype(np.float64)
        u, s, v = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
        planes = (svd_flip(u, v)[0] * s)[:, :2].T.reshape(2, 12, 16)
        # rows 2..5 and columns 1..5 of the object, in 7 bins a side
        rows = [slice(2 + k * 4 // 7, 2 + -(-(k + 1) * 4 // 7)) for k in range(7)]
        columns = [slice(1 + k * 5 // 7, 1 + -(-(k + 1) * 5 // 7)) for k in range(7)]
        pooled = np.array([planes[c, y, x].max() for c in range(2) for y in rows for x in columns])
        vectors.append((pooled - pooled.min()) / (pooled.max() - pooled.min()))
    expected = vectors[0] @ vectors[1] / np.linalg.norm(vectors[0]) / np.linalg.norm(vectors[1])
    found = similarity(features, objects(2, **TWO))
    assert found["1", 1, "paper", "object"] == pytest.approx(expected)


def test_an_absent_object_is_counted():
    masks = objects(**TWO)
    masks["1"][2] = False  # gone in one frame
    masks["2"][0] = False  # not there at first
    for found in (similarity(noise(), masks), shuffled_similarity(noise(), masks, noise(seed=1))):
        lost = found.isna()
        assert lost["2"].all()
        assert lost["1", 2].all()
        assert not lost["1", 1].any()
        assert not lost["1", 3].any()


def test_an_object_of_less_than_a_cell_is_lost_to_the_paper_alone():
    masks = {"1": np.zeros((4, 96, 128), bool)}
    masks["1"][:, 33:38, 33:38] = True
    found = similarity(still(), masks).xs("object", level="region")
    assert found.xs("paper", level="estimator").isna().all()
    assert found.loc[:, :, list(RAW)].to_numpy() == pytest.approx(1)


def test_floors_are_lost_with_the_object():
    masks = objects(**TWO, **{"3": (0, 0, 3, 2)})
    masks["1"][2] = False
    masks["1"][3] = np.roll(np.eye(96, 128, dtype=bool), 1) & (np.arange(128) < 5)  # off every cell's upper left pixel
    found = similarity(noise(), masks)["1"]
    for region in ("object", "other", "background"):
        assert found[2, :, region].isna().all()
        assert found[3, :, region].isna().to_dict() == {e: e == "paper" for e in sorted(ESTIMATORS)}


def test_other_is_the_mean_over_the_other_objects_seen():
    masks = objects(**TWO, **{"3": (8, 0, 11, 3)})
    three = similarity(noise(), masks)
    first = similarity(noise(), {"1": masks["1"], "2": masks["2"]})
    second = similarity(noise(), {"1": masks["1"], "3": masks["3"]})
    mean = (first["1", :, :, "other"] + second["1", :, :, "other"]) / 2
    assert three["1", :, :, "other"].to_numpy() == pytest.approx(mean.to_numpy())
    masks["3"][1:] = False
    assert similarity(noise(), masks)["1", :, :, "other"].equals(first["1", :, :, "other"])
    alone = similarity(noise(), {"1": masks["1"]})
    assert alone["1", :, :, "other"].isna().all()
    assert alone["1", :, :, "object"].notna().all()


def striped(masks):
    """Features that say which object a cell belongs to, with none but the background's in common."""
    features = np.zeros((4, 4, 12, 16))
    features[:, 3] = 1 + np.arange(192).reshape(12, 16) / 1000
    for i, mask in enumerate(masks.values()):
        cells = mask[:, ::8, ::8]
        features.transpose(0, 2, 3, 1)[cells] = np.eye(4)[i]
    return features


def test_the_background_touches_no_object():
    masks = objects(**TWO)
    found = [similarity(striped(masks), masks, seed=seed) for seed in range(5)]
    for rows in found:
        for estimator in ("masked_mean", "roi_align"):
            assert rows["1", :, estimator, "object"].to_numpy() == pytest.approx(1)
        assert rows["1", :, "masked_mean", "background"].to_numpy() == pytest.approx(0)
        assert (rows["1", :, "roi_align", "background"] < 0.5).all()  # samples at its edges look beyond them
    assert found[0].equals(similarity(striped(masks), masks))


def test_the_background_has_the_object_s_shape_and_many_places():
    """Two channels that grow along the two sides: the direction of a region's feature says where it stands."""
    down, across = np.mgrid[:12, :16] + 1.0
    features = np.stack([down, across])[None].repeat(4, axis=0)
    masks = objects(**{"1": (0, 0, 4, 3)})
    values = np.concatenate(
        [similarity(features, masks, seed=s)["1", :, "masked_mean", "background"] for s in range(12)]
    )
    mean = np.array([2.0, 2.5])  # of the object, at the upper left
    places = [mean + np.array([y, x]) for y in range(10) for x in range(13) if y >= 3 or x >= 4]
    expected = cosines(mean, np.array(places))
    assert abs(values[:, None] - expected).min(axis=1) == pytest.approx(0)
    assert len(np.unique(values.round(9))) > 20


def test_no_room_for_a_background():
    found = similarity(noise(), objects(**{"1": (0, 0, 9, 12)}))
    assert found.xs("background", level="region").isna().all()
    assert found.xs("object", level="region").notna().all()


def test_constant_features_resemble_nothing_and_warn_of_nothing():
    found = similarity(np.ones((2, 4, 12, 16)), objects(2, **TWO))
    assert (found[:, :, "paper"] == 0).all()
    assert (found[:, :, "masked_mean_centred"] == 0).all()


def test_errors_say_what_to_do():
    masks = objects(**TWO)
    tracks = make_tracks(masks, (12, 16))
    own = track_features(noise(), video_mean(noise()), tracks)
    with pytest.raises(DataError, match="one frame has nothing to be consistent with; give at least 2"):
        make_tracks(objects(1, **TWO), (12, 16))
    with pytest.raises(DataError, match="1 channels in 192 cells have no two principal components; give at least 2"):
        track_features(noise()[:, :1], np.zeros(1), tracks)
    with pytest.raises(DataError, match="there is no object"):
        make_tracks({}, (12, 16))
    with pytest.raises(DataError, match="features hold NaN or infinite values"):
        video_mean(noise() * np.float32(np.inf))
    with pytest.raises(DataError, match="3 frames of 16x12 features are not the 4 of 16x12 in which objects were loc"):
        track_features(noise(3), np.zeros(64), tracks)
    with pytest.raises(DataError, match="4 frames of 8x12 features are not the 4 of 16x12"):
        track_features(noise()[..., :8], np.zeros(64), tracks)
    other = track_features(noise(channels=8), np.zeros(8), tracks, first=1)
    with pytest.raises(DataError, match="has 3 later frames of 8 channels and this one 3 of 64; pair clips of one len"):
        shuffled(own, other)
    with pytest.raises(DataError, match="has 2 later frames of 64 channels and this one 3 of 64; pair clips of one"):
        shuffled(own, track_features(noise(), video_mean(noise()), tracks, first=2))
