"""What there is to predict: of each video its expressions, one by one or as a benchmark puts them together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vdprobe.data.video import Expression, Failure, Video
from vdprobe.extraction.clip_work import ClipWork, clips_by_video
from vdprobe.extraction.plan import Plan
from vdprobe.studies.predict.davis_objects import Description, describe_objects
from vdprobe.studies.predict.mask_files import IN_FRAMES, Benchmark, expression_folder, objects_folder


@dataclass(frozen=True)
class Job:
    """What is predicted and written down at once: an expression, or one of each object of a DAVIS video.

    - `clips`: of the video; with `frame`, the index of the only frame that is asked for, the one that has it.
    - `description`: how the expressions make one PNG a frame.
    """

    clips: tuple[ClipWork, ...]
    expressions: tuple[Expression, ...]
    frame: int | None = None
    description: Description | None = None

    @property
    def video(self) -> Video:
        """Of all the clips."""
        return self.clips[0].video

    @property
    def frames(self) -> int:
        """How many the video has."""
        return self.clips[-1].frames[-1] + 1

    def folders(self, out: Path, benchmark: Benchmark) -> list[Path]:
        """Where its masks lie below `out`: of each expression, then of its objects together; none of a single frame."""
        if self.frame is not None:
            return []
        alone = [expression_folder(out, benchmark, self.video.id, expression.id) for expression in self.expressions]
        return alone if self.description is None else [*alone, objects_folder(out, self.description.place)]

    @property
    def name(self) -> str:
        """For people: `dog/0`, `dog/0,1`."""
        return f"{self.video.id}/{','.join(expression.id for expression in self.expressions)}"


def make_jobs(plan: Plan, benchmark: Benchmark) -> tuple[list[Job], list[Failure]]:
    """All jobs in the order of the plan, and what of its videos cannot be predicted."""
    failures: list[Failure] = []
    known = {failure.where for failure in plan.failures}
    videos: list[tuple[ClipWork, ...]] = []
    for clips in clips_by_video(plan.clips).values():
        video = clips[0].video
        if video.expressions:
            videos.append(clips)
        elif video.id not in known:
            failures.append(Failure(video.id, "has no expression: give --expressions FILE"))
    if benchmark in IN_FRAMES:
        jobs = [job for clips in videos for job in _frame_jobs(clips, benchmark, failures)]
        failures = [failure for failure in failures if failure.where not in known]
    elif benchmark == "davis":
        described, unclear = describe_objects([clips[0].video for clips in videos], plan.failures)
        failures += unclear
        jobs = [job for clips in videos for job in _davis_jobs(clips, described.get(clips[0].video.id, ()))]
    else:
        jobs = [job for clips in videos for job in _single_jobs(clips)]
    return jobs, failures


def _single_jobs(clips: tuple[ClipWork, ...]) -> Iterator[Job]:
    for expression in clips[0].video.expressions:
        yield Job(clips, (expression,))


def _davis_jobs(clips: tuple[ClipWork, ...], descriptions: Sequence[Description]) -> Iterator[Job]:
    for description in descriptions:
        yield Job(clips, description.expressions, description=description)
    if not descriptions:
        yield from _single_jobs(clips)


def _frame_jobs(clips: tuple[ClipWork, ...], benchmark: Benchmark, failures: list[Failure]) -> Iterator[Job]:
    video = clips[0].video
    count = Job(clips, ()).frames
    for expression in video.expressions:
        frame = 0 if expression.frame is None and count == 1 else expression.frame
        clip = None if frame is None else next((clip for clip in clips if clip.is_for(frame)), None)
        if clip is not None:
            yield Job((clip,), (expression,), frame=frame)
            continue
        what = "is about no single frame" if frame is None else f"is about frame {frame} of {count}"
        failures.append(Failure(f"{video.id}/{expression.id}", f"{what}, and '{benchmark}' scores one of each video"))
