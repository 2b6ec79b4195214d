from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vdprobe.data.video import Video
from vdprobe.extraction.clip_work import ClipWork
from vdprobe.head.config import HeadConfig
from vdprobe.head.head import Head
from vdprobe.training.cached_clips import CachedClips, Sizes
from vdprobe.training.video_masks import FRAMES_AT_ONCE, at_source_size, segment_frame, segment_video

COUNT = 20
SIZES = Sizes(source=(45, 70), frame=(40, 62), padded=(48, 64))
WORDS = torch.randn(4, 10, generator=torch.Generator().manual_seed(0))


class Planted(Head):
    """A head whose scores are given: a row for each frame, told by the finest level's first value."""

    def __init__(self, scores=None):
        super().__init__(
            HeadConfig(
                level_widths=(5, 6, 7, 8),
                neck_hidden=(9, 10, 11, 12),
                neck_widths=(3, 4, 5, 6),
                text_width=10,
                width=32,
                heads=4,
                encoder_layers=1,
                decoder_layers=1,
                feedforward=16,
                queries=3,
            )
        )
        self.eval()
        self.scores = scores
        self.passed = []

    def forward(self, levels, *others):
        guesses = super().forward(levels, *others)
        frames = [round(value) for value in levels[0][:, 0, 0, 0].tolist()]
        self.passed.append(frames)
        if self.scores is None:
            return guesses
        return replace(guesses, logits=torch.logit(self.scores[frames])[None, None])


class Made(CachedClips):
    """Levels that nothing had to extract; what is read of them is written down."""

    def __init__(self):
        generator = torch.Generator().manual_seed(1)
        height, width = SIZES.padded
        self.__dict__["whole"] = [
            torch.randn(COUNT, c, -(-height // s), -(-width // s), generator=generator)
            for c, s in zip((5, 6, 7, 8), (4, 8, 16, 32), strict=True)
        ]
        self.whole[0][:, 0, 0, 0] = torch.arange(COUNT)

    def sizes(self, clip, text=None):
        return SIZES

    def levels(self, clip, text=None, frames=None):
        return [level[list(clip.frames)][frames or slice(None)] for level in self.whole]


def windows(length, overlap=0):
    starts = range(0, COUNT - overlap, length - overlap)
    video = Video("dog", Path("dog"), tuple(f"{k}.jpg" for k in range(COUNT)))
    return [ClipWork(video, "0" * 64, tuple(range(start, min(start + length, COUNT)))) for start in starts]


def segment(head, clips):
    """The masks as they are in the end, and the choice."""
    found, calls = {}, []

    def keep(frames, logits):
        found.update(zip(frames, logits, strict=True))
        calls.append(frames)

    choice = segment_video(head, Made(), clips, "a dog", WORDS, keep)
    return torch.stack([found[frame] for frame in range(COUNT)]), choice, calls


def whole_video(head, query=None):
    """All frames in one pass: the best query, or the one that is said."""
    with torch.inference_mode():
        guesses = Head.forward(head, Made().whole, WORDS[None], torch.zeros(1, 4, dtype=torch.bool), [SIZES.frame])
        found = head.best(guesses) if query is None else head.chosen(guesses, torch.tensor([query]))
    return at_source_size(found.masks[0, :, 0], SIZES), found


@pytest.mark.parametrize("length", [COUNT, 7, 1, FRAMES_AT_ONCE + 1])
def test_windows_of_any_length_give_what_one_pass_gives(length):
    head = Planted()
    masks, choice, calls = segment(head, windows(length))
    expected, best = whole_video(head)
    assert masks.shape == (COUNT, *SIZES.source)
    torch.testing.assert_close(masks, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(torch.tensor(choice.scores), best.logits[0, :, 0].sigmoid(), rtol=1e-4, atol=1e-5)
    assert max(map(len, calls)) <= min(length, FRAMES_AT_ONCE)


def test_one_query_for_all_windows_by_the_mean_over_all_frames():
    """Query 0 leads in the first window, query 2 in the second, and query 1 is the best of the mean."""
    scores = torch.full((COUNT, 3), 0.1)
    scores[:10, 0], scores[10:, 2], scores[:, 1] = 0.9, 0.8, 0.6
    head = Planted(scores)
    masks, choice, calls = segment(head, windows(10))
    assert choice.query == 1
    assert choice.scores == pytest.approx([0.6] * COUNT)
    torch.testing.assert_close(masks, whole_video(head, 1)[0], rtol=1e-4, atol=1e-4)
    assert calls == [tuple(range(10)), tuple(range(10, 20)), tuple(range(10))]  # only what was wrong is made again
    assert not torch.allclose(masks, whole_video(head, 0)[0])


def test_the_mean_is_of_scores_and_not_of_logits():
    scores = torch.full((COUNT, 3), 0.1)
    scores[:, 0], scores[:11, 1], scores[11:, 1] = 0.5, 0.99, 1e-6
    assert segment(Planted(scores), windows(4))[1].query == 1


def test_a_frame_in_two_windows_is_taken_from_the_first():
    head = Planted()
    masks, choice, _ = segment(head, windows(8, overlap=3))
    assert [frame for frames in head.passed for frame in frames] == list(range(COUNT))
    assert len(choice.scores) == COUNT
    torch.testing.assert_close(masks, whole_video(head)[0], rtol=1e-4, atol=1e-4)


def test_every_query_of_one_frame():
    head, clips = Planted(), windows(7)
    found = segment_frame(head, Made(), clips[1], 9, "a dog", WORDS)
    assert head.passed == [[9]]  # the head sees it alone
    for query in range(3):
        masks, segmentation = whole_video(head, query)
        torch.testing.assert_close(found.logits[query], masks[9], rtol=1e-4, atol=1e-4)
        assert found.scores[query].item() == pytest.approx(segmentation.logits[0, 9, 0].sigmoid().item(), abs=1e-5)
        x, y, width, height = (segmentation.boxes[0, 9, 0] * torch.tensor([70, 45, 70, 45])).tolist()
        assert found.boxes[query].tolist() == pytest.approx([x - width / 2, y - height / 2, width, height], abs=1e-3)


def test_the_padding_does_not_reach_the_picture():
    """Of a picture at half the size of the video: each pixel becomes 2 x 2, whatever stands beside it."""
    logits = torch.full((1, 16, 16), 1e6)
    logits[0, :6, :9] = -3.0
    sizes = Sizes(source=(12, 18), frame=(6, 9), padded=(16, 16))
    assert torch.equal(at_source_size(logits, sizes), torch.full((1, 12, 18), -3.0))


def test_logits_and_not_masks_are_resized():
    """Between a pixel of -1 and one of 3 the border lies a quarter of the way."""
    logits = torch.tensor([[[-1.0, 3.0]]])
    found = at_source_size(logits, Sizes(source=(1, 8), frame=(1, 2), padded=(1, 2)))[0, 0]
    assert found.tolist() == [-1, -1, -0.5, 0.5, 1.5, 2.5, 3, 3]
