"""Which frames of a video share a clip."""

import hashlib
from collections.abc import Sequence

import numpy as np

from vdprobe.errors import DataError
from vdprobe.specs.video import ClipSampling


def sample_clips(
    video_id: str, num_frames: int, sampling: ClipSampling, centres: Sequence[int] = ()
) -> tuple[tuple[int, ...], ...]:
    """The frame indices of each clip of a video of `num_frames` frames, as `ClipSampling` says.

    - `centres`: frames of the video, which `centred` clips have in the middle; the other kinds do not ask for them.

    Raises `DataError` when the video has no frames, or fewer than `consecutive` or `even` ask for.
    """
    if num_frames < 1:
        raise DataError(f"video '{video_id}' has no frames to sample clips from; remove it or fetch it again")
    if sampling.kind == "windows":
        return _windows(num_frames, sampling.frames, sampling.overlap)
    if sampling.kind == "centred":
        return tuple(_centred(num_frames, sampling.frames, centre) for centre in centres)
    if sampling.kind == "vdit":
        draw = _Draw(sampling.seed, video_id)
        return tuple(_vdit_clip(num_frames, sampling.frames, draw) for _ in range(sampling.clips))
    needed = sampling.frames + sampling.start
    if num_frames < needed:
        from_start = f" from frame {sampling.start} on" if sampling.start else ""
        raise DataError(
            f"video '{video_id}' has {num_frames} frames and clips.kind '{sampling.kind}' needs "
            f"{sampling.frames}{from_start}; lower clips.frames{' or clips.start' if sampling.start else ''}, "
            "or use kind 'windows'"
        )
    if sampling.kind == "consecutive":
        return (tuple(range(sampling.start, needed)),)
    return (tuple(round(i) for i in np.linspace(0, num_frames - 1, sampling.frames).tolist()),)


def _windows(num_frames: int, frames: int, overlap: int) -> tuple[tuple[int, ...], ...]:
    # a later window starts with `overlap` frames of the one before: without more than those it adds nothing
    starts = [0, *range(frames - overlap, num_frames - overlap, frames - overlap)]
    return tuple(tuple(range(start, min(start + frames, num_frames))) for start in starts)


def _centred(num_frames: int, frames: int, centre: int) -> tuple[int, ...]:
    start = centre - frames // 2
    return tuple(min(max(frame, 0), num_frames - 1) for frame in range(start, start + frames))


class _Draw:
    """Random numbers from (seed, video id) alone.

    Only the raw bits of Philox are used: NumPy keeps those the same in every version, which it does
    not promise for its distributions. The bias of a remainder of 64 bits is below 1e-12.
    """

    def __init__(self, seed: int, video_id: str) -> None:
        digest = hashlib.sha256(f"{seed}:{video_id}".encode()).digest()
        self._bits = np.random.Philox(key=int.from_bytes(digest[:16], "big"))

    def below(self, limit: int) -> int:
        """One integer from 0 to `limit` - 1."""
        return int(self._bits.random_raw()) % limit

    def distinct(self, values: list[int], count: int) -> list[int]:
        """`count` of the values, none twice."""
        left = list(values)
        return [left.pop(self.below(len(left))) for _ in range(count)]


def _vdit_clip(num_frames: int, frames: int, draw: _Draw) -> tuple[int, ...]:
    centre = draw.below(num_frames)
    first = max(0, centre - 1 - draw.below(3))
    last = min(num_frames - 1, centre + 1 + draw.below(3))
    outside = [*range(first), *range(last + 1, num_frames)]
    rest = frames - 3
    if len(outside) >= rest:
        others = draw.distinct(outside, rest)
    elif num_frames >= rest:
        others = draw.distinct(list(range(num_frames)), rest)
    else:
        others = [draw.below(num_frames) for _ in range(rest)]
    clip = sorted([centre, first, last, *others])
    return tuple(reversed(clip) if draw.below(10) < 3 else clip)
