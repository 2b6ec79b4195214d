"""Clips with an expression and the mask of what it means, drawn from (seed, step) alone."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Bool

from vdprobe.data.clips import sample_clips
from vdprobe.data.frames import count_frames
from vdprobe.data.masks import is_label, read_object_mask, shows_one_object
from vdprobe.data.sources import find_videos
from vdprobe.data.video import Expression, Failure, Video, VideoSet
from vdprobe.errors import DataError
from vdprobe.specs.canonical import canonical_hash
from vdprobe.specs.draws import draw_digest
from vdprobe.specs.video import ClipSampling

T = TypeVar("T")
TRIES = 20
"""Clips drawn for a place in a batch before it is clear that the masks do not fit the expressions."""


@dataclass(frozen=True)
class Referral:
    """An expression of a video, and the objects it means: at least one."""

    video: Video
    expression: Expression
    object_ids: tuple[str, ...]


@dataclass(frozen=True)
class Referrals:
    """What a split offers.

    - `usable`: in order of video and expression.
    - `unlabelled`: expressions that do not say which object they mean, or mean none; `unmasked`: videos
      without masks.
    """

    usable: tuple[Referral, ...]
    unlabelled: int
    unmasked: int
    failures: tuple[Failure, ...]

    @property
    def digest(self) -> str:
        """Hash of what is drawn from: other frames or expressions, other batches."""
        names = [
            [r.video.id, r.video.frame_names, r.expression.id, r.expression.text, *r.object_ids] for r in self.usable
        ]
        return canonical_hash(names)

    def count_one_object(self) -> int:
        """Of how many videos the masks hold 0 and 255 alone and show one object; reads a mask of each, or more."""
        return sum(map(shows_one_object, {referral.video.id: referral.video for referral in self.usable}.values()))


@dataclass(frozen=True)
class ReferringClip:
    """Frames of a video, and where in them the object is, at the size of the video."""

    referral: Referral
    frames: tuple[int, ...]
    mask: Bool[np.ndarray, "F H W"]


def find_referrals(path: str | Path, split: str) -> Referrals:
    """The expressions of a split that can be trained on, and what cannot.

    Raises `DataError` when there is none, and as `find_videos` does.
    """
    return require_usable(referrals_of(find_videos(path, split=split)), path, split)


def require_usable(referrals: Referrals, path: str | Path, split: str) -> Referrals:
    """The same referrals. Raises `DataError` when none is usable; `path` and `split` are for the error."""
    if not referrals.usable:
        raise DataError(
            f"split '{split}' of {path} has no expression with a mask (without masks: {referrals.unmasked} videos, "
            f"without an object: {referrals.unlabelled} expressions): give a dataset with Annotations/ whose "
            "expressions have an obj_id, or another split"
        )
    return referrals


def referrals_of(found: VideoSet, *, one_frame: bool = False) -> Referrals:
    """What the videos offer.

    - `one_frame`: whether expressions that are annotated in one frame alone are of use.
    """
    failures = list(found.failures)
    masked = [video for video in found.videos if video.annotations is not None]
    expressions = [(video, expression) for video in masked for expression in video.expressions]
    usable = []
    for video, expression in expressions:
        ids = expression.object_ids
        if not ids:
            continue
        foreign = [id for id in ids if isinstance(video.annotations, Path) and not is_label(id)]
        if foreign:
            error = f"its obj_id '{foreign[0]}' is no label of a mask; labels are 1 to 254"
            failures.append(Failure(f"{video.id}/{expression.id}", error))
        elif expression.frame is not None and not one_frame:
            error = f"it is annotated in frame {expression.frame} alone, and a clip needs the masks of all its frames"
            failures.append(Failure(f"{video.id}/{expression.id}", error))
        else:
            usable.append(Referral(video, expression, ids))
    return Referrals(
        usable=tuple(usable),
        unlabelled=sum(not expression.object_ids for _, expression in expressions),
        unmasked=len(found.videos) - len(masked),
        failures=tuple(failures),
    )


@dataclass(frozen=True)
class Drawn(Generic[T]):
    """A clip in which the object is seen.

    - `clip`: as it was chosen. `mask`: in its frames, at the size of the video.
    - `absent`: how many clips were drawn before it that never show their object.
    """

    referral: Referral
    clip: T
    mask: Bool[np.ndarray, "F H W"]
    absent: int


Choose = Callable[[Referral, np.random.Generator], tuple[T, tuple[int, ...]]]
"""Draws a clip for an expression, and says which frames of the video it has."""


def draw_visible(referrals: tuple[Referral, ...], seed: int, purpose: str, number: int, choose: Choose[T]) -> Drawn[T]:
    """The draw with a number, a function of (seed, purpose, number) alone.

    Every expression comes once before any comes twice. Raises `DataError` for a clip whose masks cannot be
    read, or when none shows its object.
    """
    epoch, place = divmod(number, len(referrals))
    referral = referrals[_order(seed, purpose, epoch, len(referrals))[place]]
    for attempt in range(TRIES):
        draw = _generator(seed, purpose, "clip", number, attempt)
        if attempt:  # as VD-IT does, something else takes the place of a clip without its object
            referral = referrals[int(draw.integers(len(referrals)))]
        clip, frames = choose(referral, draw)
        mask = read_object_mask(referral.video, referral.object_ids, frames)
        if mask.any():
            return Drawn(referral, clip, mask, attempt)
    raise DataError(
        f"{TRIES} clips in a row never show what their expression means, at last video '{referral.video.id}', "
        f"expression '{referral.expression.id}': do its masks hold obj_id ({', '.join(referral.object_ids)})?"
    )


@dataclass
class ClipDraws:
    """Draws clips of `referrals` from the videos themselves.

    - `purpose`: keeps draws for different ends apart.
    - `absent`: how many clips were drawn again, because they never show the object.
    """

    referrals: tuple[Referral, ...]
    sampling: ClipSampling
    seed: int
    purpose: str
    absent: int = 0

    def batch(self, step: int, size: int) -> list[ReferringClip]:
        """The clips of a step. Raises `DataError` for a clip that cannot be read, or when none shows its object."""
        return [self._draw(step * size + place) for place in range(size)]

    def _draw(self, number: int) -> ReferringClip:
        drawn = draw_visible(self.referrals, self.seed, self.purpose, number, self._choose)
        self.absent += drawn.absent
        return ReferringClip(drawn.referral, drawn.clip, drawn.mask)

    def _choose(self, referral: Referral, draw: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...]]:
        frames = self._frames(referral.video, draw)
        return frames, frames

    def _frames(self, video: Video, draw: np.random.Generator) -> tuple[int, ...]:
        sampling = self.sampling
        if sampling.kind == "vdit":
            sampling = replace(sampling, seed=int(draw.integers(2**31)))
        clips = sample_clips(video.id, count_frames(video), sampling)
        # The rest of a video may be a single frame, which skips the temporal layers.
        whole = [clip for clip in clips if len(clip) == sampling.frames] or clips
        return whole[int(draw.integers(len(whole)))]


@lru_cache(maxsize=4)
def _order(seed: int, purpose: str, epoch: int, count: int) -> np.ndarray:
    """How an epoch goes through what there is; kept, since sorting anew for each draw takes longer than reading it."""
    return np.argsort(_generator(seed, purpose, "order", epoch).random(count), kind="stable")


def _generator(*name: object) -> np.random.Generator:
    return np.random.default_rng(derive_seed(*name))


def derive_seed(*name: object) -> int:
    """A seed of its own for everything that has a name: 63 bits of its hash."""
    return int.from_bytes(draw_digest(*name)[:8], "little") >> 1
