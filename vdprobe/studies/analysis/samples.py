"""What is looked at: an expression in a clip, and the masks of all objects around."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from vdprobe.data.frames import FrameReader, frame_size
from vdprobe.data.masks import VOID, prepare_labels, read_labels, read_object_mask
from vdprobe.data.resize import prepare_frames, target_size
from vdprobe.data.video import Expression, Failure, Video
from vdprobe.errors import DataError, VdprobeError
from vdprobe.extraction.clip_work import ClipWork
from vdprobe.specs.video import Resize
from vdprobe.studies.analysis.object_masks import ObjectMasks


@dataclass(frozen=True, eq=False)
class Sample:
    """One expression in one clip.

    - `expression`: its id; empty, as `text` is None, for a video without expressions.
    - `targets`: the objects that it means; all of them where there is no expression.
    - `size`: (height, width) of the resized frames, without their padding.
    - `objects`: the masks of every object of the clip, shared by its samples.
    """

    clip: ClipWork
    resize: Resize
    expression: str
    text: str | None
    targets: tuple[str, ...]
    size: tuple[int, int]
    objects: ObjectMasks

    @property
    def name(self) -> str:
        """For people: `dog[0..35]/2`."""
        return f"{self.clip.name}/{self.expression}" if self.expression else self.clip.name

    def frames(self) -> UInt8[np.ndarray, "F H W 3"]:
        """The frames as the model sees them, with their padding."""
        with FrameReader(self.clip.video) as reader:
            pixels = prepare_frames(reader.read(self.clip.frames), self.resize).pixels
        return np.rint((pixels.transpose(0, 2, 3, 1) + 1) * 127.5).astype(np.uint8)


def samples_of(clip: ClipWork, resize: Resize) -> tuple[list[Sample], list[Failure]]:
    """The samples of a clip, and what of it cannot be one: an expression without an object or with a single frame's
    mask, a video without masks.
    """
    video = clip.video
    if video.annotations is None:
        return [], [Failure(clip.name, "has no masks, and the analysis compares objects; give a dataset with them")]
    try:
        size = target_size(*frame_size(video, clip.frames[0]), resize)
        masks = {
            name: prepare_labels(mask.astype(np.uint8), resize).astype(bool) for name, mask in _objects(video, clip)
        }
    except VdprobeError as error:
        return [], [Failure(clip.name, str(error))]
    if not any(mask.any() for mask in masks.values()):
        return [], [Failure(clip.name, "its masks show no object in any frame of the clip")]
    objects = ObjectMasks(masks)
    if not video.expressions:
        return [Sample(clip, resize, "", None, tuple(masks), size, objects)], []
    samples, failures = [], []
    for expression in video.expressions:
        lack = _lack(expression, masks)
        if lack is None:
            targets = expression.object_ids or ()
            samples.append(Sample(clip, resize, expression.id, expression.text, targets, size, objects))
        else:
            failures.append(Failure(f"{video.id}/{expression.id}", lack))
    return samples, failures


def at_frames(samples: Sequence[Sample], places: tuple[int, ...]) -> list[Sample]:
    """The samples of a clip in some of its frames, by their places in it; they share their masks as before.

    Raises `DataError` where no object is seen there.
    """
    if not samples or places == tuple(range(len(samples[0].clip.frames))):
        return list(samples)
    clip, masks = samples[0].clip, samples[0].objects.masks
    objects = ObjectMasks({name: mask[list(places)] for name, mask in masks.items()})
    if not any(mask.any() for mask in objects.masks.values()):
        raise DataError("its masks show no object in any frame of the clip that has features")
    clip = replace(clip, frames=tuple(clip.frames[place] for place in places))
    return [replace(sample, clip=clip, objects=objects) for sample in samples]


def together(samples: Sequence[Sample]) -> list[Sample]:
    """The samples of a clip as one without a text, that means what any of them means; none of none."""
    targets = tuple(dict.fromkeys(id for sample in samples for id in sample.targets))
    return [replace(sample, expression="", text=None, targets=targets) for sample in samples[:1]]


def _objects(video: Video, clip: ClipWork) -> Iterator[tuple[str, Bool[np.ndarray, "F H W"]]]:
    if isinstance(video.annotations, Path):
        labels = read_labels(video, clip.frames)
        for label in np.unique(labels):
            if label not in (0, VOID):
                yield str(label), labels == label
        return
    for name in dict.fromkeys(id for e in video.expressions if e.frame is None for id in e.object_ids or ()):
        yield name, read_object_mask(video, [name], clip.frames)


def _lack(expression: Expression, masks: Mapping[str, object]) -> str | None:
    """Why an expression is no sample, None where it is one."""
    if not expression.object_ids:
        return "does not say which object it means"
    if expression.frame is not None:
        return f"is annotated in frame {expression.frame} alone, and the analysis follows objects over frames"
    if not any(id in masks for id in expression.object_ids):
        return f"means an object ({', '.join(expression.object_ids)}) that no frame of the clip shows"
    return None
