"""How frames are chosen from a video and brought to the model's size."""

from dataclasses import dataclass
from typing import Literal, cast

from vdprobe.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ClipSampling:
    """Which frames share a clip. The temporal layers mix them, so this decides feature values.

    - `windows`: the whole video in windows of `frames`, each starting `frames - overlap` after the
      one before; the last one may be shorter (the official evaluation: 36 frames, no overlap).
    - `consecutive`: one clip, `frames` frames from `start` on.
    - `even`: one clip, `frames` frames spread evenly from the first to the last.
    - `centred`: one clip for each frame in which an expression is annotated (A2D, JHMDB): `frames` frames with that
      one in the middle, before it where they are even; beyond the ends of the video its first and last frame come
      again (official a2d.py and jhmdb.py, with 5 frames, which is what `frames` is by default here; 36 for the other
      kinds). Draws belong to frames: one that comes again has the same noise and the same latents.
    - `vdit`: `clips` clips as VD-IT draws them in training: a random frame, a neighbour 1..3 before
      and one 1..3 after it, the rest from outside that span, sorted, reversed with probability 0.3.
      Drawn from (`seed`, video id) alone. `frames` is 5 in the paper and at least 3.
    """

    kind: Literal["windows", "consecutive", "even", "vdit", "centred"] = "windows"
    frames: int = None  # type: ignore[assignment]  # never after `__post_init__`: the default depends on the kind
    overlap: int = 0
    start: int = 0
    clips: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if cast("int | None", self.frames) is None:
            object.__setattr__(self, "frames", 5 if self.kind == "centred" else 36)
        least = 3 if self.kind == "vdit" else 1
        if self.frames < least:
            raise ConfigError(f"clips.frames (={self.frames}) must be at least {least} for kind '{self.kind}'")
        if not 0 <= self.overlap < self.frames:
            raise ConfigError(
                f"clips.overlap (={self.overlap}) must be at least 0 and below clips.frames (={self.frames})"
            )
        if self.start < 0 or self.clips < 1 or self.seed < 0:
            raise ConfigError("clips.start and clips.seed must be at least 0, clips.clips at least 1")
        owners = {"overlap": ("windows", 0), "start": ("consecutive", 0), "clips": ("vdit", 1), "seed": ("vdit", 0)}
        for name, (kind, default) in owners.items():
            if self.kind != kind and getattr(self, name) != default:
                raise ConfigError(f"clips.{name} belongs to kind '{kind}' and means nothing for '{self.kind}'")


@dataclass(frozen=True, kw_only=True)
class Resize:
    """The official size rule: short side to `short_side` unless the long one would pass `long_side`.

    The aspect ratio is kept, the other side is truncated to whole pixels, and the right and bottom
    are padded to a multiple of `multiple` with the ImageNet mean colour (which is what zero padding
    after normalisation means in the official code). `short_side=None` keeps the size of the video.
    `flip` mirrors the picture first, left to right, so that the padding stays where it is; left and right then
    change places in the texts too, see `mirrored_text`.
    """

    short_side: int | None = 360
    long_side: int | None = 640
    multiple: int = 16
    flip: bool = False

    def __post_init__(self) -> None:
        for name in ("short_side", "long_side"):
            side = getattr(self, name)
            if side is not None and side < 1:
                raise ConfigError(f"resize.{name} (={side}) must be at least 1, or null")
        if self.short_side is None and self.long_side is not None:
            raise ConfigError("resize.long_side is a limit on short_side: give short_side too, or set both to null")
        if self.multiple < 1 or self.multiple % 8:
            raise ConfigError(f"resize.multiple (={self.multiple}) must be a multiple of 8, the stride of the latents")
