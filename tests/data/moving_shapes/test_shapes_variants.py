from dataclasses import asdict

import numpy as np

from vdprobe.data.moving_shapes.language import caption
from vdprobe.data.moving_shapes.render import render
from vdprobe.data.moving_shapes.sample import Draws
from vdprobe.data.moving_shapes.scene import HELD_OUT
from vdprobe.data.moving_shapes.splits import split_scene
from vdprobe.data.moving_shapes.variants import vary


def said(scene):
    """What a caption says, in no order: plain and medium are not said."""
    return sorted(caption(scene, Draws(0), objects=[k], motion=False) for k in range(len(scene.objects)))


def variants(count=300):
    for index in range(count):
        scene = split_scene("train", index)
        yield scene, vary(scene, Draws(1, index), objects=tuple(range(len(scene.objects))))


def test_the_words_no_longer_fit_and_all_else_stays():
    kinds = set()
    for scene, other in variants():
        assert said(scene) != said(other)
        assert (scene.background, scene.light, scene.camera) == (other.background, other.light, other.camera)
        changed = [
            {name for name, value in asdict(a).items() if value != asdict(b)[name]} - {"rgb", "radius"}
            for a, b in zip(scene.objects, other.objects, strict=True)
            if a != b
        ]
        assert 1 <= len(changed) <= 2
        assert len(changed) == 1 or changed == [{"colour"}, {"colour"}]
        assert all(len(names) == 1 for names in changed)
        kinds.add((len(changed), *changed[0]))
    assert kinds == {(1, "colour"), (1, "shape"), (1, "texture"), (1, "size"), (2, "colour")}


def test_only_named_objects_change_and_nothing_held_out_appears():
    for index in range(200):
        scene = split_scene("train", index)
        last = len(scene.objects) - 1
        other = vary(scene, Draws(2, index), objects=(last,))
        assert scene.objects[:-1] == other.objects[:-1]
        assert not {(o.colour, o.shape) for o in other.objects} & HELD_OUT


def test_the_picture_changes_where_the_object_is():
    for scene, other in list(variants(20)):
        a, b = render(scene, only=[4]), render(other, only=[4])
        differs = (a.frames != b.frames).any(axis=-1)[0]
        moved = [k + 1 for k, (x, y) in enumerate(zip(scene.objects, other.objects, strict=True)) if x != y]
        near = np.isin(a.labels[0], moved) | np.isin(b.labels[0], moved)
        # an edge pixel mixes what it covers, so the change may reach a pixel beyond the masks
        grown = near.copy()
        for axis in (0, 1):
            for step in (-1, 1):
                grown |= np.roll(near, step, axis)
        assert (differs & ~grown).mean() < 0.002
