"""From a seed to a scene, in one of two regimes.

A hard scene is drawn around a pair: its second object is a near copy of the first that differs in one
property, so that some expression needs just that property to tell the two apart. In an easy scene no
two objects share both colour and shape, and ground, light and camera are at rest.
"""

from dataclasses import replace
from typing import TypeVar

import numpy as np

from vdprobe.data.moving_shapes.scene import (
    COLOURS,
    DIRECTIONS,
    HELD_OUT,
    LIGHTS,
    MOTIONS,
    SHAPES,
    SIZES,
    SPEEDS,
    TEXTURES,
    Background,
    Light,
    Path,
    Scene,
    SceneObject,
)

T = TypeVar("T")

COUNTS = (1, 2, 2, 3, 3, 4, 5)
"""How many objects a hard scene has; each entry is equally likely."""
EASY_COUNTS = (2, 2, 3)
"""The same of an easy scene."""
DIFFERENCES = ("colour", "shape", "texture", "size", "motion", "speed", "spin", "place", "entry")
"""In what the near copy may differ. `place`: in nothing but where it is."""
TRIES = 30
"""Layouts drawn for an object before one that hides others is taken as it is."""


class Draws:
    """Draws from one seed or several, all made of uniform numbers, which numpy promises to keep the same."""

    def __init__(self, *seeds: int) -> None:
        self._generator = np.random.Generator(np.random.Philox(seeds[0] if len(seeds) == 1 else list(seeds)))

    def number(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number in [low, high)."""
        return low + (high - low) * float(self._generator.random())

    def chance(self, probability: float) -> bool:
        """True with that probability."""
        return self.number() < probability

    def pick(self, options: tuple[T, ...] | list[T]) -> T:
        """One of the options."""
        return options[int(self.number() * len(options))]

    def sign(self) -> float:
        """-1 or 1."""
        return 1.0 if self.chance(0.5) else -1.0

    def shuffled(self, options: tuple[T, ...] | list[T]) -> list[T]:
        """All of the options in a drawn order."""
        keyed = [(self.number(), i) for i in range(len(options))]
        return [options[i] for _, i in sorted(keyed)]


def sample_scene(seed: int, *, frames: int = 8, held_out: bool = False, easy: bool = False) -> Scene:
    """The scene of a seed.

    - `held_out`: the first object has a pair of colour and shape from `HELD_OUT`; otherwise no object has.
    - `easy`: in that regime, otherwise in the hard one.
    """
    draws = Draws(seed)
    count = draws.pick(EASY_COUNTS if easy else COUNTS)
    allowed = [(c, s) for c in COLOURS for s in SHAPES if held_out or (c, s) not in HELD_OUT]
    first = _sample_object(draws, draws.pick(sorted(HELD_OUT)) if held_out else draws.pick(allowed))
    objects = [first]
    if count > 1 and not easy:
        objects.append(_near_copy(draws, first, allowed))
    while len(objects) < count:
        taken = {(thing.colour, thing.shape) for thing in objects} if easy else set()
        objects.append(_sample_object(draws, draws.pick([look for look in allowed if look not in taken])))
    placed: list[SceneObject] = []
    for thing in objects:
        placed.append(_place(draws, thing, placed))
    shuffled = tuple(draws.shuffled(placed))
    if easy:
        return Scene(shuffled, _plain_background(draws), _steady_light(frames), camera=(0.0, 0.0))
    return Scene(
        objects=shuffled,
        background=_sample_background(draws),
        light=_sample_light(draws, frames),
        camera=(draws.number(-0.09, 0.09), draws.number(-0.09, 0.09)) if draws.chance(0.5) else (0.0, 0.0),
    )


def _sample_object(draws: Draws, look: tuple[str, str]) -> SceneObject:
    colour, shape = look
    thing = SceneObject(
        shape=shape,
        colour=colour,
        texture=draws.pick(("plain", *TEXTURES)),
        size="medium",
        motion="still",
        speed="",
        turns=0.0,
        angle=draws.number(-0.3, 0.3),
        entry="inside",
        radius=0.0,
        rgb=(0.0, 0.0, 0.0),
        path=Path((0.5, 0.5), (0.0, 0.0)),
    )
    thing = _with_size(draws, _with_rgb(draws, thing), draws.pick(tuple(SIZES)))
    thing = _with_motion(draws, thing, draws.pick(MOTIONS))
    return replace(thing, turns=_turns(draws) if draws.chance(0.25) else 0.0)


def _near_copy(draws: Draws, first: SceneObject, allowed: list[tuple[str, str]]) -> SceneObject:
    """`first` but for one property, and for where it is."""
    copy = _with_rgb(draws, first)
    match draws.pick(DIFFERENCES):
        case "colour":
            options = [c for c, s in allowed if s == first.shape and c != first.colour]
            return _with_rgb(draws, replace(copy, colour=draws.pick(options)))
        case "shape":
            return replace(copy, shape=draws.pick([s for c, s in allowed if c == first.colour and s != first.shape]))
        case "texture":
            return replace(copy, texture=draws.pick([t for t in TEXTURES if t != first.texture]))
        case "size":
            return _with_size(draws, copy, draws.pick([size for size in SIZES if size != first.size]))
        case "motion":
            return _with_motion(draws, copy, draws.pick([m for m in MOTIONS if m != first.motion]))
        case "speed" if first.speed:
            return replace(copy, speed="slow" if first.speed == "fast" else "fast")
        case "spin" if first.shape != "circle" and first.shape != "ring":
            return replace(copy, turns=0.0 if first.spins else _turns(draws))
        case "entry" if first.speed:
            return replace(copy, entry=draws.pick([e for e in ("inside", "enters", "leaves") if e != first.entry]))
        case _:
            return copy


def _with_rgb(draws: Draws, thing: SceneObject) -> SceneObject:
    gain = draws.number(0.9, 1.05)
    red, green, blue = (min(1.0, max(0.0, c * gain + draws.number(-0.05, 0.05))) for c in COLOURS[thing.colour])
    return replace(thing, rgb=(red, green, blue))


def _with_size(draws: Draws, thing: SceneObject, size: str) -> SceneObject:
    return replace(thing, size=size, radius=draws.number(*SIZES[size]))


def _with_motion(draws: Draws, thing: SceneObject, motion: str) -> SceneObject:
    if motion not in DIRECTIONS:
        return replace(thing, motion=motion, speed="", entry="inside")
    speed = draws.pick(tuple(SPEEDS))
    entry = draws.pick(("inside", "inside", "inside", "enters", "leaves"))
    return replace(thing, motion=motion, speed=speed, entry=entry)


def _turns(draws: Draws) -> float:
    return draws.sign() * draws.number(0.35, 0.7)


def _place(draws: Draws, thing: SceneObject, others: list[SceneObject]) -> SceneObject:
    """The object on a path that leaves it and the others in sight most of the time."""
    u = np.linspace(0, 1, 8)
    for _ in range(TRIES):
        thing = replace(thing, path=_sample_path(draws, thing))
        way = thing.path.centres(u)
        crowded = 0.0
        for other in others:
            distance = np.linalg.norm(other.path.centres(u) - way, axis=1)
            crowded = max(crowded, float((distance < 0.7 * (thing.radius + other.radius)).mean()))
        if crowded <= 0.3:
            break
    return thing


def _sample_path(draws: Draws, thing: SceneObject) -> Path:
    r = thing.radius
    if thing.motion == "still":
        return Path((draws.number(r, 1 - r), draws.number(r, 1 - r)), (0.0, 0.0))
    if thing.motion == "circling":
        reach = draws.number(0.10, 0.16)
        low, high = r * 0.8 + reach, 1 - r * 0.8 - reach
        return Path((draws.number(low, high), draws.number(low, high)), (reach, reach), circling=True)
    length = draws.number(*SPEEDS[thing.speed])
    if thing.entry != "inside":
        length = max(length, 1.9 * r + 0.05)  # far enough to come in, or to be gone
    direction = np.array(DIRECTIONS[thing.motion])
    along = direction * length
    travel = along + np.roll(direction, 1) * length * draws.number(-0.12, 0.12)
    low, high = r * 0.8, 1 - r * 0.8
    start = np.empty(2)
    for axis in (0, 1):
        ends = sorted((0.0, float(travel[axis])))
        start[axis] = draws.number(low - ends[0], max(low - ends[0], high - ends[1]))
    # At the edge where it comes in, or goes out, just out of sight.
    axis = int(abs(direction[1]))
    edge = -1.02 * r if direction[axis] > 0 else 1 + 1.02 * r
    if thing.entry == "enters":
        start[axis] = edge
    elif thing.entry == "leaves":
        start[axis] = 1 - edge - along[axis]
    return Path((float(start[0]), float(start[1])), (float(travel[0]), float(travel[1])))


def _sample_background(draws: Draws) -> Background:
    colours = []
    for _ in range(2):
        level = draws.number(0.12, 0.8)
        red, green, blue = (min(1.0, max(0.0, level + draws.number(-0.1, 0.1))) for _ in range(3))
        colours.append((red, green, blue))
    wavy = draws.chance(0.35)
    return Background(
        seed=int(draws.number() * 2**31),
        cells=int(draws.number(3.0, 9.0)),
        colours=(colours[0], colours[1]),
        flow=(draws.number(-0.15, 0.15), draws.number(-0.15, 0.15)) if draws.chance(0.4) else (0.0, 0.0),
        wave=(
            draws.number(0.1, 0.3) if wavy else 0.0,
            draws.number(-7.0, 7.0),
            draws.number(-7.0, 7.0),
            draws.number(-1.0, 1.0),
        ),
    )


def _plain_background(draws: Draws) -> Background:
    """A resting ground of nearly one grey."""
    level = draws.number(0.25, 0.6)
    red, green, blue = (level + draws.number(-0.04, 0.04) for _ in range(3))
    lighter = (red + 0.08, green + 0.08, blue + 0.08)
    seed = int(draws.number() * 2**31)
    return Background(
        seed=seed, cells=4, colours=((red, green, blue), lighter), flow=(0.0, 0.0), wave=(0.0, 0.0, 0.0, 0.0)
    )


def _steady_light(frames: int) -> Light:
    return Light(kind="steady", levels=(1.0,) * frames, tint=(1.0, 1.0, 1.0), band=(0.0, 1.0, 0.0))


def _sample_light(draws: Draws, frames: int) -> Light:
    kind = draws.pick(("steady", *LIGHTS))
    base = draws.number(0.8, 1.1)
    levels = [base] * frames
    if kind == "ramp":
        end = draws.number(0.45, 0.65) if draws.chance(0.7) else draws.number(1.2, 1.35)
        levels = [base * float(level) for level in np.linspace(1, end, frames)]
        levels = levels[::-1] if draws.chance(0.5) else levels
    elif kind == "flicker":
        levels = [base * draws.number(0.55, 1.25) for _ in range(frames)]
    angle = draws.number(0.0, 2 * np.pi)
    red, green, blue = (draws.number(0.85, 1.12) for _ in range(3)) if draws.chance(0.3) else (1.0, 1.0, 1.0)
    return Light(
        kind=kind,
        levels=tuple(levels),
        tint=(red, green, blue),
        band=(draws.number(0.35, 0.55) if kind == "shadow" else 0.0, float(np.cos(angle)), float(np.sin(angle))),
    )
