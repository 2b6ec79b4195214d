"""Seeds, splits, and that what a scene calls its objects is what the pixels show."""

import hashlib
import re
from collections import Counter
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vdprobe.data.moving_shapes import facts, make_video
from vdprobe.data.moving_shapes.render import render
from vdprobe.data.moving_shapes.scene import COLOURS, HELD_OUT, LIGHTS, MOTIONS, SHAPES, SIZES, TEXTURES, Light
from vdprobe.data.moving_shapes.splits import SPLITS, scenes, split_scene, split_seed
from vdprobe.errors import ConfigError

AREAS = {
    "circle": np.pi,
    "square": 1.74**2,
    "triangle": 3 * np.sqrt(3) * 0.6**2,
    "star": 5 * 1.12 * 0.5 * np.sin(np.pi / 5),
    "cross": 2 * 2 * 0.72 - 0.72**2,
    "ring": np.pi * (1.02**2 - 0.46**2),
}
"""Of each shape, in squared radii."""


def digest(*values):
    """Of what the values print, with five digits of every number: beyond that mathematical libraries differ."""
    text = re.sub(r"-?\d+\.\d+(e-?\d+)?", lambda number: f"{float(number[0]):.5f}", repr(values))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# the same for ever


def test_a_seed_is_a_video():
    a, b = make_video("val", 7), make_video("val", 7)
    assert (a.id, a.scene, a.caption, a.referrals) == (b.id, b.scene, b.caption, b.referrals)
    for name in ("frames", "labels", "whole", "full", "hidden"):
        np.testing.assert_array_equal(getattr(a.rendering, name), getattr(b.rendering, name))


GOLDEN = {
    "train": (
        "5011fecfdb6b5daa",
        "6bb6aefc2db95ba8",
        [0.281, 0.307, 0.332, 0.355, 0.379, 0.404, 0.428, 0.453],
        [5113],
    ),
    "val": (
        "05373b0527aaeae6",
        "38a9a79f74b8a69d",
        [0.277, 0.502, 0.549, 0.303, 0.51, 0.298, 0.337, 0.403],
        [3242, 8577, 11626, 3987, 12671],
    ),
    "test": (
        "f2e6dc81fb1744d2",
        "1b9e7c41fc9b4f8d",
        [0.258, 0.293, 0.327, 0.364, 0.401, 0.438, 0.48, 0.518],
        [7333, 11710, 12880, 5614, 5483],
    ),
    "held-out": (
        "8d765898527ce826",
        "43d21113eeff465a",
        [0.408, 0.638, 0.359, 0.416, 0.637, 0.375, 0.535, 0.361],
        [7382, 16859, 10248, 6315, 10271],
    ),
    "easy-val": (
        "b5de106e07a61ee3",
        "50aa08ae799ed19d",
        [0.422, 0.427, 0.427, 0.418, 0.41, 0.411, 0.404, 0.4],
        [22554, 7357],
    ),
}
"""Split to scene, texts, mean level of each frame, and pixels seen of each object in all frames."""


@pytest.mark.parametrize(
    ("split", "index"), [("train", 0), ("val", 11), ("test", 20), ("held-out", 2), ("easy-val", 5)]
)
def test_videos_never_change(split, index):
    video = make_video(split, index)
    scene, texts, colours, shown = GOLDEN[split]
    assert digest(video.scene) == scene
    assert digest(video.caption, video.referrals) == texts
    np.testing.assert_allclose(video.rendering.frames.mean(axis=(1, 2, 3)) / 255, colours, atol=1e-3)
    np.testing.assert_allclose(video.rendering.visible.sum(axis=0), shown, atol=8)


def test_more_frames_have_the_same_objects():
    few, many = split_scene("train", 3), split_scene("train", 3, frames=15)
    assert few.objects == many.objects and few.background == many.background


# splits


def test_no_two_splits_share_a_seed():
    spans = sorted((split_seed(name, 0), split_seed(name, split.videos - 1)) for name, split in SPLITS.items())
    assert all(before[1] < after[0] for before, after in pairwise(spans))


@given(st.sampled_from(sorted(SPLITS)), st.data())
def test_seeds_tell_videos_apart(split, data):
    i, j = (data.draw(st.integers(0, SPLITS[split].videos - 1)) for _ in range(2))
    assert (split_seed(split, i) == split_seed(split, j)) == (i == j)


def test_what_is_not_there():
    with pytest.raises(
        ConfigError, match=r"no split 'vla': did you mean 'val'\? valid: train, val, test, held-out, easy-train"
    ):
        make_video("vla", 0)
    for index in (200, -1):
        with pytest.raises(ConfigError, match=rf"split 'test' of MovingShapes has videos 0 to 199, not {index}"):
            make_video("test", index)


def test_held_out_pairs():
    looks = {split: [{(o.colour, o.shape) for o in scene.objects} for scene in scenes(split, 200)] for split in SPLITS}
    more = [{(o.colour, o.shape) for o in scene.objects} for scene in scenes("train", 500, start=10_000_000)]
    for regime in ("", "easy-"):
        for seen in (*looks[f"{regime}train"], *looks[f"{regime}val"], *looks[f"{regime}test"], *more):
            assert not seen & HELD_OUT
        assert all(seen & HELD_OUT for seen in looks[f"{regime}held-out"])
        assert set().union(*looks[f"{regime}held-out"]) >= HELD_OUT
        # each colour and each shape by itself is known from training
        trained = set().union(*looks[f"{regime}train"])
        assert {c for c, _ in trained} == set(COLOURS) and {s for _, s in trained} == set(SHAPES)
    assert {c for c, _ in HELD_OUT} == set(COLOURS) and {s for _, s in HELD_OUT} == set(SHAPES)


def test_easy_scenes_are_easy(shapes):
    """Two or three objects that differ in colour or shape, nearly one grey behind them, nothing but objects moves."""
    videos = shapes["easy-train"] + shapes["easy-val"] + shapes["easy-held-out"]
    assert {len(video.scene.objects) for video in videos} == {2, 3}
    for video in videos:
        looks = {(o.colour, o.shape) for o in video.scene.objects}
        assert len(looks) == len(video.scene.objects)
        assert not any(video.scene.camera) and not any(video.scene.background.flow)
        frames, labels = video.rendering.frames.astype(int), video.rendering.labels
        bare = labels == 0
        low, high = np.percentile(frames[bare], [5, 95], axis=0)  # but for edges, which mix
        assert (high - low).max() < 30  # levels of 255
        both = bare[0] & bare[-1]
        # an edge pixel of an object counts as ground and shows some of the object
        assert (abs(frames[0] - frames[-1])[both].max(axis=1) > 0).mean() < 0.15
    for kind, names in (("shape", SHAPES), ("colour", COLOURS), ("texture", TEXTURES), ("size", SIZES)):
        assert {getattr(o, kind) for video in videos for o in video.scene.objects} == set(names)


@pytest.mark.parametrize("regime", ["", "easy-"])
def test_objects_fill_from_4_to_60_cells_of_stride_8(shapes, regime):
    videos = shapes[f"{regime}train"] + shapes[f"{regime}val"]
    whole = np.concatenate([video.rendering.full.ravel() for video in videos]) / 64
    assert whole.min() >= 4 and whole.max() <= 60
    seen = [v.rendering.visible[facts.seen_frames(v.rendering)] for v in videos]
    low, middle, high = np.percentile(np.concatenate(seen) / 64, [5, 50, 95])
    assert low > 3 and 14 < middle < 20 and 40 < high < 60


def test_everything_occurs(shapes):
    made = [video.scene for video in shapes["val"]]
    objects = [o for scene in made for o in scene.objects]
    assert {len(scene.objects) for scene in made} == {1, 2, 3, 4, 5}
    assert {scene.light.kind for scene in made} == set(LIGHTS)
    for kind, names in (
        ("shape", SHAPES),
        ("colour", COLOURS),
        ("texture", TEXTURES),
        ("size", SIZES),
        ("motion", MOTIONS),
        ("entry", ("inside", "enters", "leaves")),
    ):
        assert set(Counter(getattr(o, kind) for o in objects)) == set(names), kind
    for share in (
        [any(scene.camera) for scene in made],
        [any(scene.background.flow) for scene in made],
        [scene.background.wave[0] > 0 for scene in made],
        [o.spins for o in objects],
    ):
        assert 0.15 < np.mean(share) < 0.7


def test_a_near_copy_in_every_scene(shapes):
    """Some two objects of a scene differ in one thing they are called at most."""
    kinds = ("shape", "colour", "texture", "size", "motion", "speed", "entry", "spins")

    def differ(a, b):
        return [kind for kind in kinds if getattr(a, kind) != getattr(b, kind)]

    for video in shapes["val"]:
        pairs = combinations(video.scene.objects, 2)
        # another motion brings a speed and a place of entry with it
        assert len(video.scene.objects) == 1 or any(
            len(d) <= 1 or set(d) <= {"motion", "speed", "entry"} for d in (differ(a, b) for a, b in pairs)
        ), video.id


# what the pixels show


def alone(scene, k):
    """Object k by itself under a steady white light."""
    light = Light("steady", (1.0,) * scene.frames, (1.0, 1.0, 1.0), (0.0, 1.0, 0.0))
    return render(replace(scene, objects=(scene.objects[k],), light=light))


@pytest.fixture(scope="module")
def alones(shapes):
    """(scene, object, its rendering by itself) of objects that are whole in some frame."""
    made = [(video.scene, k) for video in shapes["val"][:40] for k in range(len(video.scene.objects))]
    drawn = [(scene, scene.objects[k], k, alone(scene, k)) for scene, k in made]
    return [one for one in drawn if (one[3].whole == one[3].full).any()]


def test_sizes_and_shapes(alones):
    for _, thing, _, drawn in alones:
        low, high = SIZES[thing.size]
        assert low <= thing.radius <= high
        area = drawn.whole.max() / (128 * thing.radius) ** 2
        assert area == pytest.approx(AREAS[thing.shape], rel=0.05), thing
    assert SIZES["small"][1] < SIZES["medium"][0] and SIZES["medium"][1] < SIZES["large"][0]


def test_colours_and_textures(alones):
    names = list(COLOURS)
    palette = np.array(list(COLOURS.values()))
    for _, thing, _, drawn in alones:
        inside = drawn.frames[drawn.labels == 1] / 255
        brightest = inside[np.argsort(inside.sum(axis=1))[-len(inside) // 4 :]]
        nearest = abs(palette - np.median(brightest, axis=0)).sum(axis=1).argmin()
        assert names[nearest] == thing.colour, thing
        dark = (inside.max(axis=1) < 0.75 * thing.rgb[np.argmax(thing.rgb)]).mean()
        assert (dark > 0.15) == (thing.texture != "plain"), (thing, dark)


def test_motions(alones):
    place = np.arange(128) + 0.5
    for scene, thing, _, drawn in alones:
        whole = np.flatnonzero(drawn.whole[:, 0] >= drawn.full[:, 0] - 2)
        if len(whole) < 3:
            continue
        masks = drawn.labels[whole] == 1
        centres = (
            np.stack([masks.sum(axis=1) @ place, masks.sum(axis=2) @ place], axis=1) / masks.sum(axis=(1, 2))[:, None]
        )
        u = whole / (scene.frames - 1)
        world = centres / 128 + u[:, None] * np.array(scene.camera)
        went = (world[-1] - world[0]) / (u[-1] - u[0])
        if thing.motion in ("left", "right"):
            assert abs(went[0]) > 3 * abs(went[1]) and (went[0] > 0) == (thing.motion == "right")
        elif thing.motion in ("up", "down"):
            assert abs(went[1]) > 3 * abs(went[0]) and (went[1] > 0) == (thing.motion == "down")
        elif thing.motion == "still":
            assert abs(world - world[0]).max() < 0.01
        else:
            assert np.linalg.norm(world - world[0], axis=1).max() > 0.1
        if thing.speed and thing.entry == "inside":
            assert (np.linalg.norm(went) > 0.3) == (thing.speed == "fast")


def test_entering_and_leaving(alones):
    for scene, thing, _, drawn in alones:
        share = (drawn.labels == 1).sum(axis=(1, 2)) / drawn.full.max()
        if any(scene.camera):
            continue
        if thing.entry == "enters":
            assert share[0] < 0.05 and share[-1] > 0.6
        elif thing.entry == "leaves":
            assert share[-1] < 0.05 and share[0] > 0.6
        else:
            assert share.min() > 0.6


def test_spinning(alones):
    for scene, thing, _, drawn in alones:
        if thing.shape in ("circle", "ring"):
            continue
        own = replace(thing, path=replace(thing.path, start=(0.5, 0.5), travel=(0.0, 0.0), circling=False))
        turned = render(replace(scene, objects=(own,), camera=(0.0, 0.0))).labels
        changed = (turned != turned[0]).any(axis=0).sum() / drawn.full.max()
        assert (changed > 0.1) == thing.spins
        assert changed > 0.1 or changed == 0


def test_light_and_ground(shapes):
    for video in shapes["val"]:
        ground = video.rendering.frames.astype(float)
        bare = [ground[f][video.rendering.labels[f] == 0].mean() for f in range(len(ground))]
        if video.scene.light.kind == "ramp":
            assert max(bare[0], bare[-1]) > 1.05 * min(bare[0], bare[-1])
        assert ground[0].std() > 2  # never a plain ground
