"""Other versions of a set of videos: fewer of them, fewer texts of each, or the texts of others."""

from collections import Counter
from dataclasses import replace

from vdprobe.data.video import Expression, Video, VideoSet
from vdprobe.errors import ConfigError, suggest
from vdprobe.specs.draws import draw_digest


def take_first(found: VideoSet, videos: int | None, texts_per_object: int | None) -> VideoSet:
    """The first `videos` by id, each with the first `texts_per_object` expressions that mean the same objects.

    None leaves all. Expressions of which no object is known are kept; failures are too.
    """
    kept = found.videos[:videos]
    if texts_per_object is not None:
        kept = tuple(_with_fewer_texts(video, texts_per_object) for video in kept)
    return VideoSet(kept, found.failures)


def take_difficulty(found: VideoSet, difficulty: str | None) -> VideoSet:
    """The expressions of one difficulty, and the videos that have any; None leaves all.

    Raises `ConfigError` for a difficulty of no expression.
    """
    if difficulty is None:
        return found
    there = dict.fromkeys(e.difficulty for video in found.videos for e in video.expressions)
    if difficulty not in there:
        names = [name for name in there if name is not None]
        if not names:
            raise ConfigError(f"difficulty (={difficulty}) is asked for, and the dataset tells that of no expression")
        raise ConfigError(f"there is no expression of difficulty '{difficulty}': {suggest(difficulty, names)}")
    videos = (
        replace(video, expressions=tuple(e for e in video.expressions if e.difficulty == difficulty))
        for video in found.videos
    )
    return VideoSet(tuple(video for video in videos if video.expressions), found.failures)


def shuffle_texts(found: VideoSet, seed: int) -> VideoSet:
    """Every expression has the text of another one, drawn from (`seed`, video id, expression id): words say nothing.

    Ids and objects stay. The control for all that is said to need the words. A single expression keeps its text.
    """
    places = [(video.id, e.id) for video in found.videos for e in video.expressions]
    texts = {(video.id, e.id): e.text for video in found.videos for e in video.expressions}
    order = sorted(places, key=lambda place: draw_digest("text", seed, *place))
    given = {place: texts[other] for place, other in zip(order, order[1:] + order[:1], strict=True)}
    videos = [
        replace(video, expressions=tuple(replace(e, text=given[video.id, e.id]) for e in video.expressions))
        for video in found.videos
    ]
    return VideoSet(tuple(videos), found.failures)


def _with_fewer_texts(video: Video, per_object: int) -> Video:
    seen: Counter[tuple[str, ...]] = Counter()
    kept: list[Expression] = []
    for expression in video.expressions:
        if expression.object_ids is not None:
            seen[expression.object_ids] += 1
        if expression.object_ids is None or seen[expression.object_ids] <= per_object:
            kept.append(expression)
    return replace(video, expressions=tuple(kept))
