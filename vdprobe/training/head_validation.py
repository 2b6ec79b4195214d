"""J and F of a head on whole videos, one expression at a time (Ref-YouTube-VOS).

Shape letters: F frames, H W height and width of the video.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from vdprobe.data.masks import read_object_mask
from vdprobe.extraction.clip_work import ClipWork, clips_by_video
from vdprobe.head.head import Head
from vdprobe.head.words import WordEncoder
from vdprobe.metrics.contour import contour_accuracy
from vdprobe.metrics.region import region_similarity
from vdprobe.training.cached_clips import CachedClips
from vdprobe.training.head_clips import holds
from vdprobe.training.referring_clips import Referral
from vdprobe.training.video_masks import segment_frame, segment_video


@dataclass(frozen=True)
class Score:
    """Of one expression, means over the frames of its video."""

    j: float
    f: float


def score_expressions(
    head: Head, cached: CachedClips, referrals: Sequence[Referral], words: WordEncoder
) -> Iterator[Score]:
    """The score of each expression, by the masks of its best query in every frame of the video.

    An expression that is annotated in one frame is scored in that frame alone. Raises `DataError` for masks
    that cannot be used, `StoreError` for features that are missing or damaged.
    """
    clips = clips_by_video(cached.clips)
    for referral in referrals:
        video, expression = referral.video, referral.expression
        (text,) = words([expression.text])
        if expression.frame is None:
            found = _masks(head, cached, clips[video.id], expression.text, text)
        else:
            found = {expression.frame: _mask(head, cached, clips[video.id], expression.frame, expression.text, text)}
        frames = sorted(found)
        masks = np.stack([found[frame] for frame in frames])
        truth = read_object_mask(video, referral.object_ids, frames)
        yield Score(float(region_similarity(masks, truth).mean()), float(contour_accuracy(masks, truth).mean()))


def _masks(
    head: Head, cached: CachedClips, clips: Sequence[ClipWork], text: str, words: Float[Tensor, "L T"]
) -> dict[int, Bool[np.ndarray, "H W"]]:
    """The mask of each frame of a video."""
    found: dict[int, np.ndarray] = {}

    def keep(frames: tuple[int, ...], logits: Float[Tensor, "F H W"]) -> None:
        found.update(zip(frames, (logits > 0).cpu().numpy(), strict=True))

    segment_video(head, cached, clips, text, words, keep)
    return found


def _mask(
    head: Head, cached: CachedClips, clips: Sequence[ClipWork], frame: int, text: str, words: Float[Tensor, "L T"]
) -> Bool[np.ndarray, "H W"]:
    """The mask of one frame."""
    clip = next(clip for clip in clips if holds(cached, clip, frame))
    queries = segment_frame(head, cached, clip, frame, text, words)
    return (queries.logits[queries.scores.argmax()] > 0).cpu().numpy()
