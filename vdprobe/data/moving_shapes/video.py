"""A video of MovingShapes with everything that is known of it."""

from dataclasses import dataclass

from vdprobe.data.moving_shapes.language import Referral, caption, referrals
from vdprobe.data.moving_shapes.render import Rendering, render
from vdprobe.data.moving_shapes.sample import Draws
from vdprobe.data.moving_shapes.scene import Scene
from vdprobe.data.moving_shapes.splits import split_scene, split_seed


@dataclass(frozen=True)
class ShapesVideo:
    """`rendering` holds frames and labels; object k of the scene has label k + 1."""

    id: str
    scene: Scene
    rendering: Rendering
    caption: str
    referrals: tuple[Referral, ...]


def make_video(split: str, index: int, *, frames: int = 8, side: int = 128) -> ShapesVideo:
    """Video `index` of a split: the same pixels and texts every time.

    Raises `ConfigError` for an unknown split or an index past its end.
    """
    scene = split_scene(split, index, frames=frames)
    rendering = render(scene, side)
    words = Draws(split_seed(split, index), 1)  # apart from the scene's draws
    return ShapesVideo(
        id=f"{split}-{index:05d}",
        scene=scene,
        rendering=rendering,
        caption=caption(scene, words),
        referrals=referrals(scene, rendering, words),
    )
