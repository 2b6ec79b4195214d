"""Which frames of a clip the maps of a tap stand for, and from maps to frames.

A tap gives one map for each frame of a clip, or, behind a VAE that compresses time, one for each group of frames.
Everything here counts frames by their place in the clip.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from vdprobe.errors import FeatureError

Spans = tuple[tuple[int, int], ...]
"""For each map the frames that it stands for, as a half-open range. They lie side by side and fill the clip."""

FrameRule = Literal["nearest", "linear", "ends"]
"""What the features of a frame are.

- `nearest`: the map whose span holds the frame.
- `linear`: between the maps whose anchors lie around the frame. The anchor of a map is the last frame of its span,
  the newest that a causal VAE has seen; a frame before the first anchor has the first map.
- `ends`: the map of the span that ends with the frame; the other frames have none.

Where each frame has a map of its own, all three are that map.
"""
USUAL_RULE: FrameRule = "nearest"
"""Unless another is asked for."""


@dataclass(frozen=True)
class FrameSource:
    """The features of one `frame`: those of map `first`, and of map `second` for a `share` of them."""

    frame: int
    first: int
    second: int
    share: float


def frame_spans(frames: int) -> Spans:
    """One map a frame."""
    return tuple((frame, frame + 1) for frame in range(frames))


def group_spans(frames: int, group: int) -> Spans:
    """Those of a causal VAE: the first map is of the first frame, each other one of the `group` frames that follow.

    The last span ends with the clip, also where the VAE has filled its group with repetitions of the last frame.
    """
    return ((0, 1), *((start, min(start + group, frames)) for start in range(1, frames, group)))


def is_frame_by_frame(spans: Spans) -> bool:
    """Whether each frame has a map of its own."""
    return spans == frame_spans(len(spans))


def are_spans(value: Any) -> TypeGuard[Sequence[Sequence[int]]]:
    """Whether lists or tuples of whole numbers lie side by side from 0 on, none of them empty."""
    end = 0
    if not isinstance(value, list | tuple) or not value:
        return False
    for span in value:
        if not (isinstance(span, list | tuple) and len(span) == 2 and all(type(side) is int for side in span)):
            return False
        if span[0] != end or span[1] <= end:
            return False
        end = span[1]
    return True


def check_spans(spans: Spans, frames: int, tap: str) -> None:
    """Raises `FeatureError` unless spans fill a clip of `frames` frames."""
    if not are_spans(spans) or spans[-1][1] != frames:
        raise FeatureError(f"tap '{tap}': spans {spans} do not lie side by side over the {frames} frames of the clip")


def frame_sources(spans: Spans, rule: FrameRule) -> tuple[FrameSource, ...]:
    """The frames that have features under a rule, in order, and where those come from."""
    if rule == "nearest":
        return tuple(FrameSource(f, i, i, 0.0) for i, span in enumerate(spans) for f in range(*span))
    anchors = [end - 1 for _, end in spans]
    if rule == "ends":
        return tuple(FrameSource(f, i, i, 0.0) for i, f in enumerate(anchors))
    return tuple(_between(anchors, frame) for frame in range(spans[-1][1]))


def _between(anchors: Sequence[int], frame: int) -> FrameSource:
    after = bisect_left(anchors, frame)
    if after == 0 or anchors[after] == frame:
        return FrameSource(frame, after, after, 0.0)
    before = after - 1
    return FrameSource(frame, before, after, (frame - anchors[before]) / (anchors[after] - anchors[before]))
