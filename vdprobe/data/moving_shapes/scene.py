"""What a scene of MovingShapes holds.

Lengths are fractions of the frame's side, x to the right and y down; time u runs from 0 (first
frame) to 1 (last).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

COLOURS = {
    "red": (0.84, 0.14, 0.14),
    "orange": (0.95, 0.52, 0.10),
    "yellow": (0.93, 0.86, 0.16),
    "green": (0.16, 0.64, 0.22),
    "cyan": (0.22, 0.80, 0.85),
    "blue": (0.14, 0.26, 0.84),
    "purple": (0.52, 0.18, 0.70),
    "pink": (0.96, 0.52, 0.72),
}
"""Colour name to RGB in [0, 1], before an object's own jitter and the light."""
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
TEXTURES = ("plain", "striped", "dotted", "checked")
SIZES = {"small": (0.11, 0.135), "medium": (0.17, 0.20), "large": (0.235, 0.272)}
"""Size name to the range of radii; the gaps keep 'small' and 'large' beyond doubt."""
DIRECTIONS = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}
MOTIONS = (*DIRECTIONS, "circling", "still")
SPEEDS = {"slow": (0.13, 0.20), "fast": (0.42, 0.60)}
"""Speed name to the range of the way covered within the clip."""
LIGHTS = ("steady", "ramp", "flicker", "shadow")
HELD_OUT = frozenset(zip(COLOURS, (*SHAPES, *SHAPES), strict=False))
"""Pairs of colour and shape that no split but `held-out` shows: each colour once."""


@dataclass(frozen=True)
class Path:
    """Where an object's centre is: `start` plus a way of `travel`, or a turn of radius `travel` around a point."""

    start: tuple[float, float]
    travel: tuple[float, float]
    circling: bool = False

    def centres(self, u: Float[np.ndarray, " F"]) -> Float[np.ndarray, "F 2"]:
        """(x, y) at each time."""
        if not self.circling:
            return np.array(self.start) + u[:, None] * np.array(self.travel)
        angle = 2 * np.pi * u[:, None] + np.array([0, -np.pi / 2])
        return np.array(self.start) + self.travel[0] * np.cos(angle)


@dataclass(frozen=True)
class SceneObject:
    """One object. The names say what the numbers mean, and what an expression may call it.

    - `motion`: one of `MOTIONS`; `speed`: `slow`, `fast`, or empty for what does not go anywhere.
    - `turns`: how often it spins round its centre within the clip; `angle`: where it starts, in radians.
    - `entry`: `inside`, `enters` or `leaves`.
    """

    shape: str
    colour: str
    texture: str
    size: str
    motion: str
    speed: str
    turns: float
    angle: float
    entry: str
    radius: float
    rgb: tuple[float, float, float]
    path: Path

    @property
    def spins(self) -> bool:
        """Whether it turns visibly; a circle's turning shows in its texture only and is never spoken of."""
        return self.turns != 0


@dataclass(frozen=True)
class Background:
    """Smooth noise between two colours, seen through a camera that may drift, over which waves may run.

    - `cells`: noise cells along the side of a frame; `flow`: its own way within the clip.
    - `wave`: amplitude, cycles in x, cycles in y, cycles in time.
    """

    seed: int
    cells: int
    colours: tuple[tuple[float, float, float], tuple[float, float, float]]
    flow: tuple[float, float]
    wave: tuple[float, float, float, float]


@dataclass(frozen=True)
class Light:
    """What multiplies the picture: `kind` is one of `LIGHTS`, `tint` the colour cast at the end of the clip.

    - `levels`: brightness of each frame; `band`: (strength, cosine, sine of its direction) of a moving shadow.
    """

    kind: str
    levels: tuple[float, ...]
    tint: tuple[float, float, float]
    band: tuple[float, float, float]


@dataclass(frozen=True)
class Scene:
    """Objects from back to front, background, light and the camera's way within the clip."""

    objects: tuple[SceneObject, ...]
    background: Background
    light: Light
    camera: tuple[float, float]

    @property
    def frames(self) -> int:
        """Frames of the clip."""
        return len(self.light.levels)

    def centres(self) -> Float[np.ndarray, "O F 2"]:
        """(x, y) of every object in every frame, as the camera sees it."""
        u = np.linspace(0, 1, self.frames)
        return np.stack([thing.path.centres(u) for thing in self.objects]) - u[:, None] * np.array(self.camera)
