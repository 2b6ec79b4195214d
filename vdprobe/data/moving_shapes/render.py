"""From a scene to pixels, exact visible masks, and who hides whom.

Shape letters: F frames, S the side in pixels, O objects, K the side of the window an object is
drawn in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from vdprobe.data.moving_shapes.scene import Background, Light, Scene, SceneObject

TONE = 0.55
"""Brightness of a texture's dark parts."""


@dataclass(frozen=True)
class Rendering:
    """A drawn scene.

    - `frames`: RGB; `labels`: 0 for the background, k + 1 where object k is seen.
    - `whole`: pixels of each object within the frame, hidden or not; `full`: its pixels if nothing cut it.
    - `hidden`: pixels of object j that are hidden by object k, (F, j, k).
    """

    frames: UInt8[np.ndarray, "F S S 3"]
    labels: UInt8[np.ndarray, "F S S"]
    whole: Int[np.ndarray, "F O"]
    full: Int[np.ndarray, "F O"]
    hidden: Int[np.ndarray, "F O O"]

    @cached_property
    def visible(self) -> Int[np.ndarray, "F O"]:
        """Pixels of each object that are seen."""
        count = self.whole.shape[1]
        return np.stack([(self.labels == k + 1).sum(axis=(1, 2)) for k in range(count)], axis=1)


def render(scene: Scene, side: int = 128, *, only: Sequence[int] | None = None) -> Rendering:
    """Draws a scene with `side` pixels a side; an edge pixel mixes the colours it covers.

    - `only`: the frames to draw; by default all.
    """
    drawn = list(range(scene.frames) if only is None else only)
    u = np.linspace(0, 1, scene.frames)[drawn]
    picture = _draw_background(scene.background, u, scene.camera, side)
    count = len(scene.objects)
    labels = np.zeros((len(drawn), side, side), dtype=np.uint8)
    whole = np.zeros((len(drawn), count), dtype=np.int64)
    full = np.zeros((len(drawn), count), dtype=np.int64)
    hidden = np.zeros((len(drawn), count, count), dtype=np.int64)
    for k, (thing, centres) in enumerate(zip(scene.objects, scene.centres()[:, drawn], strict=True)):
        cover, colour, corners = _draw_object(thing, centres, u, side)
        inside = cover > 0.5
        full[:, k] = inside.sum(axis=(1, 2))
        for f, (left, top) in enumerate(corners):
            overlap = _overlap(int(left), int(top), cover.shape[1], side)
            if overlap is None:
                continue
            window, cut = overlap
            patch = picture[f][:, *window]
            patch += cover[f][cut] * (colour[f][:, *cut] - patch)
            mask = inside[f][cut]
            below = labels[f][window]
            whole[f, k] = mask.sum()
            hidden[f, :, k] = np.bincount(below[mask], minlength=count + 1)[1:]
            below[mask] = k + 1
    _shine(picture, scene.light, np.array(scene.light.levels)[drawn], u)
    picture *= 255
    np.clip(picture, 0, 255, out=picture)
    picture += 0.5
    frames = np.empty((len(drawn), side, side, 3), dtype=np.uint8)
    frames[...] = picture.transpose(0, 2, 3, 1)
    return Rendering(frames=frames, labels=labels, whole=whole, full=full, hidden=hidden)


def boxes(labels: UInt8[np.ndarray, "F S S"], count: int) -> Int[np.ndarray, "F O 4"]:
    """(left, top, right, bottom) of each object's visible part in pixels, right and bottom past it; zeros if unseen."""
    out = np.zeros((len(labels), count, 4), dtype=np.int64)
    for k in range(count):
        mask = labels == k + 1
        for axis, (low, high) in ((1, (0, 2)), (2, (1, 3))):
            line = mask.any(axis=axis)
            seen = line.any(axis=1)
            out[seen, k, low] = line.argmax(axis=1)[seen]
            out[seen, k, high] = (line.shape[1] - line[:, ::-1].argmax(axis=1))[seen]
    return out


def _overlap(left: int, top: int, size: int, side: int) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    """Where a window lies in the frame, and which part of it does; None where none does."""
    x0, y0, x1, y1 = max(0, left), max(0, top), min(side, left + size), min(side, top + size)
    if x0 >= x1 or y0 >= y1:
        return None
    return (slice(y0, y1), slice(x0, x1)), (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))


def _draw_object(
    thing: SceneObject, centres: Float[np.ndarray, "F 2"], u: Float[np.ndarray, " F"], side: int
) -> tuple[Float32[np.ndarray, "F K K"], Float32[np.ndarray, "F 3 K K"], Int[np.ndarray, "F 2"]]:
    """Coverage and colour of each pixel of a window around the object, and the windows' left top corners."""
    radius = thing.radius * side
    size = int(np.ceil(2 * radius * REACH)) + 3
    centres = centres * side
    corners = np.floor(centres - size / 2).astype(np.int64)
    grid = np.arange(size, dtype=np.float32) + 0.5
    offset = (corners - centres).astype(np.float32)
    x = (grid[None, None, :] + offset[:, 0, None, None]) / radius
    y = (grid[None, :, None] + offset[:, 1, None, None]) / radius
    angle = thing.angle + thing.turns * 2 * np.pi * u
    cos, sin = (f(angle).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
    x, y = x * cos + y * sin, y * cos - x * sin
    cover = np.clip(0.5 - OUTLINES[thing.shape](x, y) * radius, 0, 1)
    tone = _tone(thing.texture, x, y, radius)
    colour = tone[:, None] * np.array(thing.rgb, dtype=np.float32)[:, None, None]
    return cover, colour, corners


def _circle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(x * x + y * y) - 1


def _square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(abs(x), abs(y)) - np.float32(0.87)


def _triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    y = y - np.float32(0.12)  # so that it looks centred
    return np.maximum(y, abs(x) * np.float32(0.866) - y * np.float32(0.5)) - np.float32(0.6)


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    fifth = 2 * np.pi / 5
    angle = np.arctan2(x, -y)
    radius = np.sqrt(x * x + y * y)
    angle = abs(angle - fifth * np.round(angle / fifth)).astype(np.float32)  # folded: a tip at 0, a notch at fifth / 2
    tip, notch = np.array([1.12, 0.0]), 0.5 * np.array([np.cos(fifth / 2), np.sin(fifth / 2)])
    along = (notch - tip) / np.linalg.norm(notch - tip)
    normal = np.array([-along[1], along[0]], dtype=np.float32)
    normal = normal if normal @ tip > 0 else -normal
    return radius * (np.cos(angle) * normal[0] + np.sin(angle) * normal[1]) - np.float32(normal @ tip)


def _cross(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = abs(x), abs(y)
    return np.maximum(np.minimum(x, y) - np.float32(0.36), np.maximum(x, y) - 1)


def _ring(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return abs(np.sqrt(x * x + y * y) - np.float32(0.74)) - np.float32(0.28)


OUTLINES = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "ring": _ring,
}
"""Shape name to its outline: negative inside, about the distance to the edge near it, in radii."""
REACH = 1.25
"""No outline goes further than this, in radii."""


def _tone(texture: str, x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """Brightness in [TONE, 1]; textures turn and move with the object. Edges are as soft as a pixel."""
    if texture == "plain":
        return np.ones_like(x)
    sharp = np.float32(radius / 3)
    if texture == "striped":
        wave = np.sin(x * np.float32(2 * np.pi / 0.62)) * sharp * np.float32(0.3)
    elif texture == "checked":
        cell = np.float32(np.pi / 0.55)
        wave = np.sin(x * cell) * np.sin(y * cell) * sharp * np.float32(0.5)
    else:
        cell = np.float32(2 * np.pi / 0.66)
        wave = (np.cos(x * cell) + np.cos(y * cell) - np.float32(0.6)) * sharp * np.float32(0.3)
    return np.float32(TONE) + np.float32(1 - TONE) * np.clip(np.float32(0.5) + wave, 0, 1)


def _draw_background(
    background: Background, u: Float[np.ndarray, " F"], camera: tuple[float, float], side: int
) -> Float32[np.ndarray, "F 3 S S"]:
    way = u[:, None] * (np.array(camera) + np.array(background.flow))
    place = (np.arange(side) + 0.5) / side
    x, y = ((place + way[:, axis, None]).astype(np.float32) for axis in (0, 1))  # F S
    level = _noise(background.seed, background.cells, x, y) + 0.4 * _noise(
        background.seed + 1, 2 * background.cells + 1, x, y
    )
    strength, across, down, pace = background.wave
    if strength:
        # sin(a + b) from the waves along each axis
        a = np.float32(2 * np.pi) * (across * x + (pace * u[:, None]).astype(np.float32))[:, None, :]
        b = np.float32(2 * np.pi * down) * y[:, :, None]
        level += strength * (np.sin(a) * np.cos(b) + np.cos(a) * np.sin(b))
    level += 0.5
    level = np.clip(level, 0, 1, out=level)[:, None]
    first, second = (np.array(c, dtype=np.float32)[:, None, None] for c in background.colours)
    picture = level * (second - first)
    picture += first
    return picture


def _noise(seed: int, cells: int, x: np.ndarray, y: np.ndarray) -> Float32[np.ndarray, "F S S"]:
    """Smooth noise of deviation about 0.25 with `cells` knots along a side, at columns x and rows y (F S)."""
    knots = cells + 8  # the camera and the flow see up to a quarter of a frame beyond each side
    values = np.random.Generator(np.random.Philox(seed)).random((knots, knots)) - 0.5
    values = (values * 1.9).astype(np.float32)
    return _spline(y, cells, knots) @ values @ _spline(x, cells, knots).transpose(0, 2, 1)


def _spline(place: Float32[np.ndarray, "F S"], cells: int, knots: int) -> Float32[np.ndarray, "F S M"]:
    """Weights of a cubic B-spline's knots at each place."""
    distance = abs(place[..., None] * cells + np.float32(3.5) - np.arange(knots, dtype=np.float32))
    near, far = np.maximum(1 - distance, 0), np.maximum(2 - distance, 0)
    return (far * far * far - 4 * near * near * near) / 6


def _shine(
    picture: Float32[np.ndarray, "F 3 S S"],
    light: Light,
    levels: Float[np.ndarray, " F"],
    u: Float[np.ndarray, " F"],
) -> None:
    """The light on a picture, in place."""
    side = picture.shape[2]
    gain = levels[:, None] * (1 + u[:, None] * (np.array(light.tint) - 1))
    strength, cos, sin = light.band
    if strength:
        place = (np.arange(side) + 0.5) / side - 0.5
        along = (place * cos + (place * sin)[:, None]).astype(np.float32)  # S S
        away = (along - (1.6 * u[:, None, None] - 0.8).astype(np.float32)) / np.float32(0.22)
        picture *= (1 - np.float32(strength) * np.exp(-away * away))[:, None]
    picture *= gain.astype(np.float32)[:, :, None, None]
