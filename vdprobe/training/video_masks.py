"""What a head says of an expression in a whole video: one query for all of its frames.

Official inference_ytvos.py takes the query whose score is highest in the mean over the video, which it sees
in one piece. Here a video may be many clips long: its frames pass by in pieces, and what was made for a query
that does not win in the end is made again.

Shape letters: F frames, Q queries, L words, T width of a word, H W height and width of the video.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from vdprobe.extraction.clip_work import ClipWork
from vdprobe.head.head import Guesses, Head
from vdprobe.head.words import pad_words
from vdprobe.training.cached_clips import CachedClips, Sizes

FRAMES_AT_ONCE = 12
"""How many go through the head together. It sees each by itself: this decides the memory, not the masks."""
Keep = Callable[[tuple[int, ...], Float[Tensor, "F H W"]], None]
"""Gets the indices of frames and the mask logits there; for frames that come twice, the last ones hold."""


@dataclass(frozen=True)
class Choice:
    """The query that was taken, and how sure the head is of it in each frame, in [0, 1]."""

    query: int
    scores: tuple[float, ...]


@dataclass(frozen=True)
class FrameQueries:
    """All queries in one frame, at the size of the video.

    - `scores`: in [0, 1]. `boxes`: (x, y) of the top left corner, width and height, in pixels.
    - `logits`: of the masks.
    """

    scores: Float[Tensor, " Q"]
    boxes: Float[Tensor, "Q 4"]
    logits: Float[Tensor, "Q H W"]


@torch.inference_mode()
def segment_video(
    head: Head, cached: CachedClips, video: Sequence[ClipWork], text: str, words: Float[Tensor, "L T"], keep: Keep
) -> Choice:
    """Hands `keep` the masks of one expression: those of one query in every frame.

    - `video`: clips of one video, each of frames in order; a frame that is in several is taken from the first.
    - `text`: of the expression, and `words` what the head's text encoder makes of it.

    Raises `StoreError` where features are missing or damaged.
    """
    asked = _Asked(head, cached, text, words)
    scores: list[Tensor] = []
    made: list[tuple[_Piece, int]] = []
    for piece in asked.pieces(video):
        guesses = asked.guess(piece)
        scores.append(guesses.scores[0])
        leader = _leader(scores)
        keep(piece.frames, asked.masks(piece, guesses, leader))
        made.append((piece, leader))
    query = _leader(scores)
    for piece, leader in made:
        if leader != query:
            keep(piece.frames, asked.masks(piece, asked.guess(piece), query))
    return Choice(query, tuple(torch.cat(scores)[:, query].tolist()))


@torch.inference_mode()
def segment_frame(
    head: Head, cached: CachedClips, clip: ClipWork, frame: int, text: str, words: Float[Tensor, "L T"]
) -> FrameQueries:
    """Every query in one frame, by its index in the video: what A2D, JHMDB and RefCOCO score.

    The features have seen the whole clip, the head sees the frame alone (official diffvos_cross.py). Raises
    `StoreError` where features are missing or damaged.
    """
    asked = _Asked(head, cached, text, words)
    place = cached.frames_with_features(clip).index(frame)
    sizes = cached.sizes(clip, text)
    found = head.every(asked.guess(_Piece(clip, slice(place, place + 1), (frame,), sizes)))
    centre, extent = found.boxes[0, 0].split(2, dim=-1)
    scale = torch.tensor(sizes.source[::-1], device=centre.device)
    return FrameQueries(
        scores=torch.sigmoid(found.logits[0, 0]),
        boxes=torch.cat([(centre - extent / 2) * scale, extent * scale], dim=-1),
        logits=at_source_size(found.masks[0, 0], sizes),
    )


def at_source_size(logits: Float[Tensor, "N _ _"], sizes: Sizes) -> Float[Tensor, "N H W"]:
    """Mask logits of padded frames at the size of the video: the padding is cut off, the rest resized bilinearly."""
    height, width = sizes.frame
    picture = logits[:, None, :height, :width].float()
    return functional.interpolate(picture, size=sizes.source, mode="bilinear", align_corners=False)[:, 0]


@dataclass(frozen=True)
class _Piece:
    """Frames that go through the head together: `places` among the clip's that have features, `frames` of the video."""

    clip: ClipWork
    places: slice
    frames: tuple[int, ...]
    sizes: Sizes


@dataclass(frozen=True)
class _Asked:
    """A head, and what it is asked for."""

    head: Head
    cached: CachedClips
    text: str
    words: Float[Tensor, "L T"]

    def pieces(self, video: Sequence[ClipWork]) -> Iterator[_Piece]:
        """All frames of the clips that have features, each once."""
        end = 0
        for clip in video:
            sizes = self.cached.sizes(clip, self.text)
            seen = self.cached.frames_with_features(clip)
            new = next((place for place, frame in enumerate(seen) if frame >= end), len(seen))
            for start in range(new, len(seen), FRAMES_AT_ONCE):
                frames = seen[start : start + FRAMES_AT_ONCE]
                yield _Piece(clip, slice(start, start + len(frames)), frames, sizes)
            end = max(end, clip.frames[-1] + 1)

    def guess(self, piece: _Piece) -> Guesses:
        levels = self.cached.levels(piece.clip, self.text, piece.places)
        batch, padding = pad_words([self.words])
        return self.head([level.to(batch.device) for level in levels], batch, padding, [piece.sizes.frame])

    def masks(self, piece: _Piece, guesses: Guesses, query: int) -> Float[Tensor, "F H W"]:
        chosen = self.head.chosen(guesses, torch.tensor([query], device=guesses.logits.device))
        return at_source_size(chosen.masks[0, :, 0], piece.sizes)


def _leader(scores: Sequence[Float[Tensor, "_ Q"]]) -> int:
    """The query with the highest mean over the frames so far."""
    return int(torch.cat(list(scores)).mean(0).argmax())
