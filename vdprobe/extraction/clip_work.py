"""`ClipWork`: one clip of one video, the unit of work, of sharding and of claims."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from vdprobe.data.mirrored_text import text_for
from vdprobe.data.video import Video
from vdprobe.errors import ConfigError
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import FeatureSpec, Item


@dataclass(frozen=True)
class ClipWork:
    """One clip: the unit of work, of sharding and of claims.

    - `centre`: the frame that the clip is there for, and its expressions are annotated in; None for clips that are
      there for all of their frames.
    """

    video: Video
    digest: str
    frames: tuple[int, ...]
    centre: int | None = None

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The distinct texts of the clip's expressions, as the dataset has them: equal texts share one item."""
        return tuple(dict.fromkeys(e.text for e in self.video.expressions if self.centre in (None, e.frame)))

    def is_for(self, frame: int | None) -> bool:
        """Whether an expression that is annotated in a frame, or with None in all frames, is looked at in this clip."""
        if self.centre is not None:
            return frame == self.centre
        return frame is None or frame in self.frames

    @property
    def clip(self) -> Clip:
        """What a model knows of it beside its pixels."""
        return Clip(self.video.id, self.frames)

    @property
    def name(self) -> str:
        """For people: `dog[0..35]`."""
        return self.clip.name

    def item(self, spec: FeatureSpec, text: str | None) -> Item:
        """The item of an expression's `text`, as the dataset has it.

        The item's own text is what the condition sees: left and right change places where `spec` flips the frames,
        and it is None where the features depend on no text. Raises `ConfigError` without a text where they do.
        """
        if not spec.uses_text:
            return Item(video=self.video.id, digest=self.digest, frames=self.frames, text=None)
        if text is None:
            raise ConfigError(f"features under {spec.label} belong to a text; name one of video '{self.video.id}'")
        return Item(video=self.video.id, digest=self.digest, frames=self.frames, text=text_for(text, spec.resize))

    def items(self, spec: FeatureSpec) -> tuple[Item, ...]:
        """The items of this clip under `spec`: one for each text, or one alone where the features depend on none."""
        texts = self.texts if spec.uses_text else (None,)
        return tuple(dict.fromkeys(self.item(spec, text) for text in texts))

    def batches(self, spec: FeatureSpec, texts_per_forward: int) -> Iterator[tuple[Item, ...]]:
        """The items of each forward.

        They are cut from all items, done or not: which texts share a forward must not depend on
        where an earlier run stopped.
        """
        items = self.items(spec)
        for start in range(0, len(items), texts_per_forward):
            yield items[start : start + texts_per_forward]


def clips_by_video(clips: Iterable[ClipWork]) -> dict[str, tuple[ClipWork, ...]]:
    """The clips of each video, by its id."""
    out: dict[str, tuple[ClipWork, ...]] = {}
    for clip in clips:
        out[clip.video.id] = (*out.get(clip.video.id, ()), clip)
    return out
