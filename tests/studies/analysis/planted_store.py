"""Cells over videos on disk, and a store whose features are made of what the videos show."""

from dataclasses import dataclass
from typing import Any

from vdprobe.data.sources import find_videos
from vdprobe.extraction.clip_work import ClipWork
from vdprobe.specs.features import Condition, FeatureSpec, LatentSampling, ModelIdentity, Noise
from vdprobe.specs.video import ClipSampling, Resize
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


def cell_of(clips, condition="vd-t", tap="unet.up.2", backbone="tiny", *, control=False, lighting=None, model=None):
    """A cell of a view of its own."""
    spec = spec_of(condition, (tap,), model or f"{backbone} {lighting}")
    view = View(backbone, control, 0, (spec,), clips, lighting)
    return Cell(view, spec, tap, None if condition is None else 0)


@dataclass(frozen=True)
class PlantedItem:
    features: Any
    stride: int

    @property
    def attrs(self):
        height, width = self.features.shape[2:]
        return {"frame_size": (height * self.stride, width * self.stride)}

    def tap_attrs(self, tap):
        return {"stride": self.stride}

    def read(self, tap, timestep=None):
        return self.features


@dataclass(frozen=True)
class PlantedStore:
    """Features `make(spec key, item)` of shape (F, C, h, w) at a stride."""

    make: Any
    stride: int = 4

    def get(self, key, item):
        made = self.make(key, item)
        features, stride = made if isinstance(made, tuple) else (made, self.stride)
        return PlantedItem(features, stride)


def all_rows(made):
    """The rows of all videos of a unit, and what failed."""
    rows, lacks = [], []
    for some, missing in made:
        rows += some
        lacks += missing
    return rows, lacks
