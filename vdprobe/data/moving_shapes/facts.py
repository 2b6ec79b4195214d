"""What is clearly true, and what is clearly false, of the objects of a scene.

Told from what the frames show as well as from how the scene was made: where the two disagree, as
when the camera follows an object, nothing is clear. Every function gives `TRUE`, `FALSE` or
`UNCLEAR` for each object or pair of objects.

Shape letters: F frames, O objects.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from vdprobe.data.moving_shapes.render import Rendering
from vdprobe.data.moving_shapes.scene import DIRECTIONS, Scene, SceneObject

TRUE, FALSE, UNCLEAR = 1, 0, -1
SEEN = 40
"""An object of which fewer pixels are seen, at 128 pixels a side, does not count as seen in a frame."""
APART = 0.06
"""How far one object must be from another along a direction, in sides of the frame, to lie there."""
SPREAD = 3
"""Two objects this many times as far apart across a direction as along it are not said to lie along it."""

ROUND = ("circle", "ring")
"""Shapes whose spinning shows in their texture alone: it is never spoken of."""


def seen_frames(rendering: Rendering) -> Bool[np.ndarray, "F O"]:
    """In which frames each object is seen."""
    return rendering.visible >= SEEN * (rendering.labels.shape[1] / 128) ** 2


def lies(scene: Scene, rendering: Rendering) -> dict[tuple[int, int], Int[np.ndarray, "O O"]]:
    """For each axis (0 x, 1 y) and sign, [j, k]: whether j lies further that way than k whenever both are seen.

    By their centres and by the middles of what is seen of them. Of pairs seldom seen together nothing is clear.
    """
    places = np.stack([scene.centres().transpose(1, 0, 2), _middles(rendering)])  # 2 F O 2
    gaps = places[:, :, :, None] - places[:, :, None]
    seen = seen_frames(rendering)
    together = seen[:, :, None] & seen[:, None]
    seldom = together.sum(axis=0) < max(2, len(seen) // 2)
    out = {}
    for axis in (0, 1):
        along, across = gaps[..., axis], abs(gaps[..., 1 - axis])
        beyond = (((along > APART) & (along * SPREAD > across)).all(axis=0) | ~together).all(axis=0)
        before = ((along < 0).all(axis=0) | ~together).all(axis=0)
        out[axis, 1] = np.where(seldom, UNCLEAR, _judge(beyond, before))
        out[axis, -1] = out[axis, 1].T
    return out


def goes(scene: Scene, motion: str) -> Int[np.ndarray, " O"]:
    """Whether each object moves in that way, one of `MOTIONS`."""
    kinds = np.array([thing.motion for thing in scene.objects])
    if motion == "circling":
        return (kinds == motion).astype(int)
    _, seen = _ways(scene)
    if motion == "still":
        # What spins in place neither moves nor stays still.
        spins = np.array([thing.spins for thing in scene.objects])
        still = kinds == motion
        drift = np.linalg.norm(seen, axis=1)
        return _judge(still & ~spins & (drift < 0.06), ~still & ((kinds == "circling") | (drift > 0.1)))
    direction = np.array(DIRECTIONS[motion])
    along, across = seen @ direction, abs(seen @ direction[::-1])
    yes = (kinds == motion) & (along > 0.1) & (along > 2 * across)
    return _judge(yes, (kinds != motion) & ((along < 0.05) | (along * SPREAD < across)))


def has_speed(scene: Scene, speed: str) -> Int[np.ndarray, " O"]:
    """Whether each object is `slow` or `fast`, by how far it gets; what circles is neither.

    An object's `speed` is not asked: one that comes in or goes out may have further to go than its speed says.
    """
    circling = np.array([thing.motion == "circling" for thing in scene.objects])
    world, seen = (np.linalg.norm(way, axis=1) for way in _ways(scene))
    fast = (world > 0.35) & (seen > 0.35)
    slow = (world < 0.25) & (seen < 0.25)
    still = (world == 0) & (seen < 0.05)
    moving = (world > 0) & (seen > 0.05)
    out = _judge(fast, slow) if speed == "fast" else _judge(slow & moving, fast | still)
    out[circling] = UNCLEAR
    return out


def spins(scene: Scene) -> Int[np.ndarray, " O"]:
    """Whether each object turns round its centre."""
    return np.array([UNCLEAR if thing.spins and thing.shape in ROUND else int(thing.spins) for thing in scene.objects])


def shows_spin(thing: SceneObject) -> bool:
    """Whether anyone would say that it spins."""
    return thing.spins and thing.shape not in ROUND


def enters(rendering: Rendering) -> Int[np.ndarray, " O"]:
    """Whether each object is out of the frame at first and well in sight later."""
    return _comes(rendering.whole / rendering.full, rendering.visible / rendering.full)


def leaves(rendering: Rendering) -> Int[np.ndarray, " O"]:
    """Whether each object is well in sight at some time and out of the frame in the end."""
    return _comes((rendering.whole / rendering.full)[::-1], (rendering.visible / rendering.full)[::-1])


def hides(rendering: Rendering) -> Int[np.ndarray, "O O"]:
    """[j, k]: whether k hides a good part of j in some frame and hardly any in another.

    Where k is hidden too, it may be that something else is seen to hide j.
    """
    hidden = rendering.hidden
    surely = hidden - hidden.sum(axis=2)[:, None]
    share = hidden / rendering.full[:, :, None]
    of_seen = hidden.max(axis=0) / np.maximum(rendering.visible.max(axis=0), 1)[:, None]
    some = (surely / rendering.full[:, :, None]).max(axis=0) > 0.2
    return _judge(some & (share.min(axis=0) < 0.02), of_seen < 0.02)


def _comes(inside: Float[np.ndarray, "F O"], visible: Float[np.ndarray, "F O"]) -> Int[np.ndarray, " O"]:
    # One that was inside but hidden may also be said to come into view.
    there = (inside[0] > 0.7) & (visible[0] > 0.3)
    return _judge((inside[0] < 0.1) & (visible.max(axis=0) > 0.6), there)


def _judge(true: Bool[np.ndarray, "*shape"], false: Bool[np.ndarray, "*shape"]) -> Int[np.ndarray, "*shape"]:
    return np.where(true, TRUE, np.where(false, FALSE, UNCLEAR))


def _ways(scene: Scene) -> tuple[Float[np.ndarray, "O 2"], Float[np.ndarray, "O 2"]]:
    """How far each object goes within the clip, in the world and as the camera sees it; a circle leads nowhere."""
    paths = [thing.path for thing in scene.objects]
    world = np.array([(0.0, 0.0) if path.circling else path.travel for path in paths])
    return world, world - np.array(scene.camera)


def _middles(rendering: Rendering) -> Float[np.ndarray, "F O 2"]:
    """(x, y) of the middle of what is seen of each object; zeros if unseen."""
    labels = rendering.labels
    frames, side = labels.shape[:2]
    count = rendering.whole.shape[1]
    spots = np.flatnonzero(labels)
    frame, rest = np.divmod(spots, side * side)
    which = frame * (count + 1) + labels.ravel()[spots]
    sums = [
        np.bincount(which, place + 0.5, frames * (count + 1)).reshape(frames, count + 1)[:, 1:]
        for place in (rest % side, rest // side)
    ]
    return np.stack(sums, axis=2) / np.maximum(rendering.visible, 1)[:, :, None] / side
