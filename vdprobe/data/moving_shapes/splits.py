"""The fixed splits: which seeds belong to which, and how many videos each has."""

from collections.abc import Iterator
from dataclasses import dataclass

from vdprobe.data.moving_shapes.sample import sample_scene
from vdprobe.data.moving_shapes.scene import Scene
from vdprobe.errors import ConfigError, suggest

WORLD = 2
"""The version of the world: raised when a seed comes to mean other pixels or texts.

1: expressions by the fewest words, which left out most colours; objects two thirds as large; no easy regime. Its
videos can no longer be made.
"""
STRIDE = 1_000_000_000


@dataclass(frozen=True)
class Split:
    """How many videos a split has, whether they show the held-out pairs of colour and shape, and their regime."""

    videos: int
    held_out: bool = False
    easy: bool = False


SPLITS = {
    "train": Split(100_000_000),
    "val": Split(200),
    "test": Split(200),
    "held-out": Split(200, held_out=True),
    "easy-train": Split(100_000_000, easy=True),
    "easy-val": Split(200, easy=True),
    "easy-test": Split(200, easy=True),
    "easy-held-out": Split(200, held_out=True, easy=True),
}
"""Splits by name; the order decides their seeds."""


def split_seed(split: str, index: int) -> int:
    """The seed of a split's video: no two splits share one.

    Raises `ConfigError` for an unknown split or an index past its end.
    """
    if split not in SPLITS:
        raise ConfigError(f"MovingShapes has no split '{split}': {suggest(split, SPLITS)}")
    videos = SPLITS[split].videos
    if not 0 <= index < videos:
        raise ConfigError(f"split '{split}' of MovingShapes has videos 0 to {videos - 1}, not {index}")
    return list(SPLITS).index(split) * STRIDE + index


def split_scene(split: str, index: int, *, frames: int = 8) -> Scene:
    """The scene of a split's video."""
    seed = split_seed(split, index)
    return sample_scene(seed, frames=frames, held_out=SPLITS[split].held_out, easy=SPLITS[split].easy)


def scenes(split: str, count: int, *, start: int = 0, frames: int = 8) -> Iterator[Scene]:
    """`count` scenes of a split from number `start` on."""
    for index in range(start, start + count):
        yield split_scene(split, index, frames=frames)
