"""Masks, boxes and who hides whom, against each object drawn by itself."""

from dataclasses import replace

import numpy as np
import pytest

from vdprobe.data.moving_shapes.render import boxes, render
from vdprobe.data.moving_shapes.splits import split_scene


@pytest.fixture(scope="module")
def drawn(shapes):
    """(scene, its rendering, the mask of each object drawn by itself (O, F, S, S)) of scenes with several objects."""
    several = [video for video in shapes["val"] + shapes["held-out"] if len(video.scene.objects) > 1][:25]
    return [
        (
            video.scene,
            video.rendering,
            np.stack([render(replace(video.scene, objects=(o,))).labels == 1 for o in video.scene.objects]),
        )
        for video in several
    ]


def test_the_front_most_object_is_seen(drawn):
    for _, rendering, masks in drawn:
        expected = np.zeros(rendering.labels.shape, dtype=int)
        for k, mask in enumerate(masks):
            expected[mask] = k + 1
        np.testing.assert_array_equal(rendering.labels, expected)
        np.testing.assert_array_equal(
            rendering.visible, [[(f == k + 1).sum() for k in range(len(masks))] for f in expected]
        )
        np.testing.assert_array_equal(rendering.whole, masks.sum(axis=(2, 3)).T)


def test_who_hides_whom(drawn):
    met = 0
    for scene, rendering, masks in drawn:
        for k in range(len(masks)):
            if not k:
                assert not rendering.hidden[:, :, k].any()
                continue
            below = render(replace(scene, objects=scene.objects[:k])).labels
            for j in range(len(masks)):
                np.testing.assert_array_equal(rendering.hidden[:, j, k], ((below == j + 1) & masks[k]).sum(axis=(1, 2)))
        # what is hidden of an object by all others together, and what is seen of it, is all of it
        np.testing.assert_array_equal(rendering.visible + rendering.hidden.sum(axis=2), rendering.whole)
        met += (rendering.hidden > 100).any()
    assert met > 5


def test_what_lies_outside_the_frame(drawn):
    cut = 0
    for scene, rendering, masks in drawn:
        assert (rendering.whole <= rendering.full).all()
        edge = np.ones((128, 128), dtype=bool)
        edge[1:-1, 1:-1] = False
        for k, (thing, mask) in enumerate(zip(scene.objects, masks, strict=True)):
            inside = (mask.any(axis=(1, 2))) & ~(mask & edge).any(axis=(1, 2))
            np.testing.assert_array_equal(rendering.whole[inside, k], rendering.full[inside, k])
            # moved by whole pixels to the middle, it shows all it has
            f = int(rendering.whole[:, k].argmin())
            centre = scene.centres()[k, f]
            middle = centre - np.round((centre - 0.5) * 128) / 128
            path = replace(thing.path, start=(float(middle[0]), float(middle[1])), travel=(0.0, 0.0), circling=False)
            whole = render(replace(scene, objects=(replace(thing, path=path),), camera=(0.0, 0.0)), only=[f]).whole[
                0, 0
            ]
            assert whole == pytest.approx(rendering.full[f, k], abs=3)
            cut += rendering.whole[f, k] < whole / 2
    assert cut > 2


def test_boxes_are_tight(drawn):
    for _, rendering, masks in drawn:
        found = boxes(rendering.labels, len(masks))
        for f, labels in enumerate(rendering.labels):
            for k in range(len(masks)):
                y, x = np.nonzero(labels == k + 1)
                expected = (x.min(), y.min(), x.max() + 1, y.max() + 1) if len(x) else (0, 0, 0, 0)
                assert tuple(found[f, k]) == expected


@pytest.mark.parametrize("index", [1, 4, 9])
def test_some_frames_are_the_same_as_all(index):
    scene = split_scene("train", index)
    full, some = render(scene, 96), render(scene, 96, only=[6, 1])
    for name in ("frames", "labels", "whole", "full", "hidden"):
        np.testing.assert_array_equal(getattr(some, name), getattr(full, name)[[6, 1]])


def test_an_edge_pixel_mixes(drawn):
    """The mask is where an object has the larger share of a pixel: pixels far within show its colour alone."""
    scene, _, masks = drawn[0]
    with_it, without = render(scene), render(replace(scene, objects=scene.objects[:-1]))
    outside = ~masks[-1]
    changed = (with_it.frames != without.frames).any(axis=-1)
    near = outside & (
        np.roll(masks[-1], 1, 1) | np.roll(masks[-1], -1, 1) | np.roll(masks[-1], 1, 2) | np.roll(masks[-1], -1, 2)
    )
    assert not (changed & outside & ~near)[:, 2:-2, 2:-2].sum() > 0.05 * masks[-1].sum()
    assert (changed & near).any()


@pytest.mark.parametrize("side", [48, 128, 200])
def test_any_side_shows_the_same(side):
    scene = split_scene("test", 4)
    rendering, usual = render(scene, side), render(scene)
    share = lambda r: r.visible / r.labels.shape[1] ** 2  # noqa: E731
    np.testing.assert_allclose(share(rendering), share(usual), atol=6e-3)
