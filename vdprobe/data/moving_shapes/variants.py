"""Scenes that differ from another in one property of one object: hard distractors for it."""

from dataclasses import replace

from vdprobe.data.moving_shapes.sample import Draws
from vdprobe.data.moving_shapes.scene import COLOURS, HELD_OUT, SHAPES, SIZES, TEXTURES, Scene, SceneObject

KINDS = ("colour", "colour", "shape", "shape", "texture", "size", "swap")
"""What a variant changes; `swap` exchanges the colours of two objects."""


def vary(scene: Scene, draws: Draws, *, objects: tuple[int, ...]) -> Scene:
    """`scene` with another look of one of `objects`; everything else, light and ground too, stays.

    A caption of `scene` is false of it: what captions leave unsaid (plain, medium) is not changed.
    Pairs of colour and shape that are held out are not made.
    """
    k = draws.pick(objects)
    thing = scene.objects[k]
    unsaid = {"texture"} if thing.texture == "plain" else set()
    unsaid |= {"size"} if thing.size == "medium" else set()
    kind = draws.pick([kind for kind in KINDS if kind not in unsaid])
    if kind == "swap":
        # Objects that differ in more than their colour, or the same words would fit again.
        others = [scene.objects[j] for j in objects]
        others = [o for o in others if o.colour != thing.colour and _form(o) != _form(thing)]
        for other in draws.shuffled(others):
            if not HELD_OUT & {(thing.colour, other.shape), (other.colour, thing.shape)}:
                # The colours change hands: "a red star and a blue ring" against "a blue star and a red ring".
                return _with(scene, {k: _recolour(thing, other), scene.objects.index(other): _recolour(other, thing)})
        kind = "colour"
    return _with(scene, {k: _change(thing, kind, draws)})


def _form(thing: SceneObject) -> tuple[str, str, str]:
    return thing.shape, thing.texture, thing.size


def _change(thing: SceneObject, kind: str, draws: Draws) -> SceneObject:
    match kind:
        case "colour":
            colours = [c for c in COLOURS if c != thing.colour and (c, thing.shape) not in HELD_OUT]
            colour = draws.pick(colours)
            return replace(thing, colour=colour, rgb=COLOURS[colour])
        case "shape":
            return replace(
                thing, shape=draws.pick([s for s in SHAPES if s != thing.shape and (thing.colour, s) not in HELD_OUT])
            )
        case "texture":
            return replace(thing, texture=draws.pick([t for t in TEXTURES if t != thing.texture]))
        case _:
            size = "small" if thing.size == "large" else "large"
            return replace(thing, size=size, radius=draws.number(*SIZES[size]))


def _recolour(thing: SceneObject, like: SceneObject) -> SceneObject:
    return replace(thing, colour=like.colour, rgb=like.rgb)


def _with(scene: Scene, changes: dict[int, SceneObject]) -> Scene:
    return replace(scene, objects=tuple(changes.get(k, thing) for k, thing in enumerate(scene.objects)))
