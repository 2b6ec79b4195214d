"""Clips to train a head on: which features of which expression make a place of a batch, and what is to be said.

Everything is a function of (seed, step, place in the batch) alone.
Shape letters: F frames, C channels, h w height and width of a level.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from vdprobe.data.mirrored_text import text_for
from vdprobe.data.resize import target_size
from vdprobe.data.video import Failure, VideoSet
from vdprobe.extraction.clip_work import ClipWork, clips_by_video
from vdprobe.training.cached_clips import CachedClips
from vdprobe.training.head_targets import ClipTarget, clip_target
from vdprobe.training.referring_clips import Referral, Referrals, draw_visible, referrals_of, require_usable

PURPOSE = "head"
"""Keeps these draws apart from those of other trainings with the same seed."""


@dataclass(frozen=True)
class HeadClip:
    """One place of a batch.

    - `place`: its number in the batch, over all processes.
    - `name`: what it is, for people who look for it.
    - `text`: as the head reads it: left and right change places where the frames are mirrored.
    - `size`: (height, width) of the picture in the padded frames.
    - `absent`: clips that were drawn for this place before and never show their object.
    """

    place: int
    name: Mapping[str, Any]
    text: str
    levels: list[Float[Tensor, "F _ _ _"]]
    size: tuple[int, int]
    target: ClipTarget
    absent: int


@dataclass(frozen=True)
class Choice:
    """What is drawn for an expression: which view, clip and, of its frames with features, which, in which order."""

    view: int
    clip: ClipWork
    frames: slice
    backwards: bool


@dataclass(frozen=True)
class HeadClips:
    """What is drawn from.

    - `views`: extractions of the same clips. `clips`: those of each video, by its id.
    - `frames`: of a draw, None for whole clips. `reverse`: share of the draws that run backwards.
    """

    views: tuple[CachedClips, ...]
    referrals: tuple[Referral, ...]
    clips: Mapping[str, tuple[ClipWork, ...]]
    frames: int | None
    reverse: float
    batch_size: int
    seed: int

    def load(self, step: int, place: int) -> HeadClip:
        """The clip at a place of a step's batch.

        Raises `DataError` for masks that cannot be used and `StoreError` for features that are missing or damaged.
        """
        number = step * self.batch_size + place
        drawn = draw_visible(self.referrals, self.seed, PURPOSE, number, self.choose)
        choice, expression = drawn.clip, drawn.referral.expression
        view = self.views[choice.view]
        resize = view.plan.config.resize
        levels = view.levels(choice.clip, expression.text, choice.frames)
        target = clip_target(drawn.mask, resize)
        frames = view.frames_with_features(choice.clip)[choice.frames]
        if choice.backwards:
            levels, target, frames = [level.flip(0) for level in levels], target.backwards(), frames[::-1]
        text = text_for(expression.text, resize)
        name: dict[str, Any] = {"video": drawn.referral.video.id, "expression": expression.id, "text": text}
        name |= {"frames": frames, "view": choice.view}
        _, height, width = drawn.mask.shape
        size = target_size(height, width, resize)
        return HeadClip(place, name, text, levels, size, target, drawn.absent)

    def choose(self, referral: Referral, draw: np.random.Generator) -> tuple[Choice, tuple[int, ...]]:
        """A view and frames for an expression: consecutive ones of a cached clip, or the one that is annotated."""
        view = int(draw.integers(len(self.views)))
        clips, frame = self.clips[referral.video.id], referral.expression.frame
        if frame is not None:
            holders = [clip for clip in clips if holds(self.views[view], clip, frame)]
            clip = holders[int(draw.integers(len(holders)))]
            frames = self.views[view].frames_with_features(clip)
            start, backwards = frames.index(frame), False
            end = start + 1
        else:
            clips = long_clips(clips, self.frames)
            clip = clips[int(draw.integers(len(clips)))]
            frames = self.views[view].frames_with_features(clip)
            count = len(frames) if self.frames is None else min(self.frames, len(frames))
            start = int(draw.integers(len(frames) - count + 1))
            end, backwards = start + count, bool(draw.random() < self.reverse)
        return Choice(view, clip, slice(start, end), backwards), frames[start:end]


def holds(cached: CachedClips, clip: ClipWork, frame: int | None) -> bool:
    """Whether an expression that is annotated in a frame, or with None in all, can be learnt from a clip."""
    return clip.is_for(frame) and (frame is None or frame in cached.frames_with_features(clip))


def long_clips(clips: Sequence[ClipWork], frames: int | None) -> tuple[ClipWork, ...]:
    """Of a video's clips those with at least `frames` frames; where it has none, or for None, those of most frames.

    The last window of a video may be a single frame, for which the model's temporal layers did nothing.
    """
    longest = max(len(clip.frames) for clip in clips)
    return tuple(clip for clip in clips if len(clip.frames) >= min(frames or longest, longest))


def find_cached_referrals(cached: CachedClips) -> Referrals:
    """The expressions that the clips show, and what of their videos cannot be used.

    Raises `DataError` when none is usable.
    """
    clips = clips_by_video(cached.clips)
    videos = tuple(of_video[0].video for of_video in clips.values())
    found = referrals_of(VideoSet(videos, cached.plan.failures), one_frame=True)
    usable, lost = [], []
    known = {failure.where for failure in cached.plan.failures}
    for referral in found.usable:
        frame = referral.expression.frame
        where = f"{referral.video.id}/{referral.expression.id}"
        if any(holds(cached, clip, frame) for clip in clips[referral.video.id]):
            usable.append(referral)
        elif where not in known:
            error = f"frame {frame}, in which it is annotated, is in no clip of the features"
            if any(clip.is_for(frame) for clip in clips[referral.video.id]):
                error = f"frame {frame}, in which it is annotated, has no features by frame_rule '{cached.frame_rule}'"
            lost.append(Failure(where, f"{error}; take clips of kind windows or centred"))
    asked = cached.plan.config.videos
    found = replace(found, usable=tuple(usable), failures=(*found.failures, *lost))
    return require_usable(found, asked.path, asked.split)
