"""Samples whose objects and features are known."""

from pathlib import Path

import numpy as np

from vdprobe.data.video import Video
from vdprobe.extraction.clip_work import ClipWork
from vdprobe.specs.video import Resize
from vdprobe.studies.analysis.analysis import Measured
from vdprobe.studies.analysis.object_masks import ObjectMasks
from vdprobe.studies.analysis.samples import Sample
from vdprobe.studies.analysis.statistics import summarise, video_values
from vdprobe.studies.analysis.video_means import table_means

STRIDE = 4


def squares(frames=4, cells=8, side=2, step=1, objects=2):
    """The object of each cell: squares that move to the right, one below the other; 0 is the ground."""
    numbers = np.zeros((frames, cells, cells), np.int64)
    for frame in range(frames):
        for k in range(objects):
            top, left = 1 + k * (side + 1), frame * step
            numbers[frame, top : top + side, left : left + side] = k + 1
    return numbers


def features_of(numbers, noise=0.05, channels=12):
    """A direction of its own for each number, and a little noise."""
    directions = np.linalg.qr(np.random.default_rng(5).normal(size=(channels, channels)))[0]
    planted = 3 * directions[numbers] + np.random.default_rng(0).normal(0, noise, (*numbers.shape, channels))
    return planted.transpose(0, 3, 1, 2).astype(np.float32)


def sample_of(numbers, stride=STRIDE, size=None):
    """A sample with a mask of each object, of whole cells; `size` is that of the frames without padding."""
    pixels = numbers.repeat(stride, axis=1).repeat(stride, axis=2)
    masks = {str(k): pixels == k for k in range(1, int(numbers.max()) + 1)}
    clip = ClipWork(Video("planted", Path("planted")), "digest", tuple(range(len(numbers))))
    resize = Resize(short_side=None, long_side=None)
    return Sample(clip, resize, "", None, tuple(masks), size or pixels.shape[1:], ObjectMasks(masks))


def measured_of(numbers, features=None, stride=STRIDE, size=None):
    """A sample in a cell whose features tell the objects apart if none are given."""
    features = features_of(numbers) if features is None else features
    return Measured(sample_of(numbers, stride, size), features, stride, lambda: None)


def summary_of(rows, keys):
    """The summary of rows of samples."""
    return summarise(table_means(video_values(rows, keys), keys))
