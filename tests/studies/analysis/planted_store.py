"""Cells over videos on disk, and a store whose features are made of what the videos show."""

from dataclasses import dataclass
from typing import Any

from vdprobe.data.sources import find_videos
from vdprobe.extraction.clip_work import ClipWork
from vdprobe.specs.features import Condition, FeatureSpec, LatentSampling, ModelIdentity, Noise
from vdprobe.specs.spans import USUAL_RULE, frame_sources, frame_spans
from vdprobe.specs.video import ClipSampling, Resize
from vdprobe.store.frame_features import on_frames
from vdprobe.studies.analysis.cells import Cell, View

RESIZE = Resize(short_side=None, long_side=None)


def clips_of(folder, split="val"):
    """A clip of all frames of each video."""
    videos = find_videos(folder, split=split).videos
    return tuple(ClipWork(video, "digest", tuple(range(len(video.frame_names)))) for video in videos)


def spec_of(condition="vd-t", taps=("unet.up.2",), model="m"):
    """A spec at one timestep, or one that depends on the frames alone where `condition` is None."""
    of_frames = condition is None
    return FeatureSpec(
        model=ModelIdentity(name=model, parts={"unet": model}),
        taps=taps,
        timesteps=() if of_frames else (0,),
        condition=None if of_frames else Condition(kind=condition, form="raw"),
        noise=None if of_frames else Noise(kind="none"),
        latents=None if of_frames else LatentSampling(kind="mode", seed=None),
        clips=ClipSampling(),
        resize=RESIZE,
        compute_dtype="float32",
        store_dtype="float32",
    )


def cell_of(
    clips,
    condition="vd-t",
    tap="unet.up.2",
    backbone="tiny",
    *,
    control=False,
    lighting=None,
    model=None,
    rule=USUAL_RULE,
):
    """A cell of a view of its own."""
    spec = spec_of(condition, (tap,), model or f"{backbone} {lighting}")
    view = View(backbone, control, 0, (spec,), clips, lighting, rule)
    return Cell(view, spec, tap, None if condition is None else 0)


@dataclass(frozen=True)
class PlantedItem:
    """`features` of each map; `spans` says of which frames, each of its own where there are none."""

    features: Any
    stride: int
    spans: Any = None

    @property
    def attrs(self):
        height, width = self.features.shape[2:]
        return {"frame_size": (height * self.stride, width * self.stride)}

    def tap_attrs(self, tap):
        return {"stride": self.stride}

    def _sources(self, rule):
        return frame_sources(self.spans or frame_spans(len(self.features)), rule)

    def read_frames(self, tap, timestep=None, rule=USUAL_RULE):
        return on_frames(self.features, self._sources(rule), 0)

    def frames_with_features(self, tap, rule):
        return tuple(source.frame for source in self._sources(rule))


@dataclass(frozen=True)
class PlantedStore:
    """Features `make(spec key, item)` of shape (M, C, h, w) at a stride, with `spans`."""

    make: Any
    stride: int = 4
    spans: Any = None

    def get(self, key, item):
        made = self.make(key, item)
        features, stride = made if isinstance(made, tuple) else (made, self.stride)
        return PlantedItem(features, stride, self.spans)


def all_rows(made):
    """The rows of all videos of a unit, and what failed."""
    rows, lacks = [], []
    for some, missing in made:
        rows += some
        lacks += missing
    return rows, lacks
