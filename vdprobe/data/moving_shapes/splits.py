"""The fixed splits: which seeds belong to which, and how many videos each has."""

from collections.abc import Iterator

from vdprobe.data.moving_shapes.sample import sample_scene
from vdprobe.data.moving_shapes.scene import Scene
from vdprobe.errors import ConfigError, suggest

SPLITS = {"train": 100_000_000, "val": 200, "test": 200, "held-out": 200}
"""Split name to its number of videos. `held-out` has the pairs of colour and shape that no other split shows."""
STRIDE = 1_000_000_000


def split_seed(split: str, index: int) -> int:
    """The seed of a split's video: no two splits share one.

    Raises `ConfigError` for an unknown split or an index past its end.
    """
    if split not in SPLITS:
        raise ConfigError(f"MovingShapes has no split '{split}': {suggest(split, SPLITS)}")
    if not 0 <= index < SPLITS[split]:
        raise ConfigError(f"split '{split}' of MovingShapes has videos 0 to {SPLITS[split] - 1}, not {index}")
    return list(SPLITS).index(split) * STRIDE + index


def split_scene(split: str, index: int, *, frames: int = 8) -> Scene:
    """The scene of a split's video."""
    return sample_scene(split_seed(split, index), frames=frames, held_out=split == "held-out")


def scenes(split: str, count: int, *, start: int = 0, frames: int = 8) -> Iterator[Scene]:
    """`count` scenes of a split from number `start` on."""
    for index in range(start, start + count):
        yield split_scene(split, index, frames=frames)
