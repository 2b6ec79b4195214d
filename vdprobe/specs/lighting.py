"""`Lighting`: a graded change of light, as part of what determines a feature."""

from dataclasses import dataclass
from typing import Literal

from vdprobe.errors import ConfigError

LightingKind = Literal["brightness", "gamma", "contrast", "temperature", "flicker", "shadow"]
WHOLE_VIDEO = ("flicker", "shadow")
"""Kinds that go through all frames of a video, so that none is chosen."""


@dataclass(frozen=True, kw_only=True)
class Lighting:
    """A change of light; `strength` 0 changes no bit, 1 is the most that a kind can do.

    d is a number in [-1, 1] drawn for each frame, v a value of the frame in [0, 1]:

    - `brightness`: v (1 + strength d), the paper's Figure 5, of which no magnitude is known.
    - `gamma`: v ** (3 ** (strength d)).
    - `contrast`: the frame's mean grey + (v - mean grey) (1 + strength d).
    - `temperature`: red times 1 + strength d / 2, blue times 1 - strength d / 2.
    - `flicker`: v (1 + strength cos), a wave over the frames; its period (2 to 8 frames) and phase are drawn.
    - `shadow`: v (1 - strength band), a soft band that moves through the picture; its direction, place and
      speed (up to a tenth of the way a frame) are drawn.

    `share`: the probability that a frame is changed; 1 for `flicker` and `shadow`. Frames drawn for a share
    are drawn for every larger one. Draws depend on (`seed`, video id, frame) alone, not on the clip, nor on
    kind and strength: a stronger change is more of the same. As in torchvision's `ColorJitter`, it is the
    stored (gamma-encoded) values that change.
    """

    kind: LightingKind = "brightness"
    strength: float
    share: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1 or not 0 < self.share <= 1 or self.seed < 0:
            raise ConfigError(
                f"{self} makes no sense: strength must be from 0 to 1, share above 0 and at most 1, seed at least 0"
            )
        if self.kind in WHOLE_VIDEO and self.share != 1:
            raise ConfigError(f"lighting.share (={self.share}) means nothing for '{self.kind}', which has all frames")
        # 1 and 1.0 (and 0.0 and -0.0) mean the same, so they must spell the same key
        object.__setattr__(self, "strength", abs(float(self.strength)))
        object.__setattr__(self, "share", float(self.share))


def effective(lighting: Lighting | None) -> Lighting | None:
    """None for a change of no strength: what changes nothing must not change a key."""
    return lighting if lighting is not None and lighting.strength > 0 else None
