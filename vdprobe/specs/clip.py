"""`Clip`: some frames of a video that go through a model together."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Clip:
    """What a model knows of a clip beside its pixels.

    - `video`: the video's id, which draws of noise depend on.
    - `frames`: indices into the video, in clip order; some clips show a frame more than once.
    """

    video: str
    frames: tuple[int, ...]

    @property
    def name(self) -> str:
        """For people: `dog[0..35]`."""
        return clip_name(self.video, self.frames)


def clip_name(video: str, frames: tuple[int, ...]) -> str:
    """A clip for people: `dog[0..35]`."""
    return f"{video}[{frames[0]}..{frames[-1]}]"
