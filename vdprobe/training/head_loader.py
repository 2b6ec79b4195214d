"""Clips read ahead of the training, in processes of their own; the order is that of the steps."""

from collections.abc import Generator
from dataclasses import dataclass

from torch.utils.data import DataLoader, Dataset

from vdprobe.errors import DataError, VdprobeError
from vdprobe.training.head_clips import HeadClip, HeadClips


@dataclass(frozen=True)
class HeadSteps(Dataset[list[HeadClip] | str]):
    """The clips of each step that belong to one of `processes`: places `process`, `process + processes`, ..."""

    clips: HeadClips
    process: int = 0
    processes: int = 1

    def __getitem__(self, step: int) -> list[HeadClip] | str:
        """The clips, or the error in words: what a reading process raises would reach the training as many lines."""
        places = range(self.process, self.clips.batch_size, self.processes)
        try:
            return [self.clips.load(step, place) for place in places]
        except VdprobeError as error:
            return str(error)


def read_steps(steps: HeadSteps, start: int, end: int, workers: int) -> Generator[list[HeadClip]]:
    """The clips of each step from `start` to before `end`.

    - `workers`: processes that read ahead, started by spawn; 0 reads when asked.

    Raises `DataError` for what cannot be read.
    """
    loader = DataLoader(
        steps,
        batch_size=None,
        sampler=range(start, end),
        num_workers=workers,
        collate_fn=_as_it_is,
        multiprocessing_context="spawn" if workers else None,
    )
    for clips in loader:
        if isinstance(clips, str):
            raise DataError(clips)
        yield clips


def _as_it_is(clips: list[HeadClip] | str) -> list[HeadClip] | str:
    return clips
