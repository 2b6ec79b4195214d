"""What is compared: the features of one tap of one backbone under one condition, noise, seed and timestep."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from vdprobe.extraction.clip_work import ClipWork
from vdprobe.extraction.plan import Plan
from vdprobe.specs.features import FeatureSpec, Timestep
from vdprobe.specs.lighting import Lighting
from vdprobe.specs.spans import USUAL_RULE, FrameRule
from vdprobe.store.item import StoredItem
from vdprobe.store.store import FeatureStore

CELL = ("backbone", "control", "condition", "noise", "seed", "timestep", "tap")
"""The columns of a table that name a cell."""
GROUP = tuple(name for name in CELL if name != "seed")
"""Those that name a row of a summary."""
QUERIES = re.compile(r"(.+)\.q(\.\d+)?")
"""The taps of queries, of all heads or of one."""
NONE = "-"
"""Condition, noise and timestep of what depends on the frames alone."""


@dataclass(frozen=True)
class View:
    """The extraction of one backbone under one seed: a plan without what its workers do not need.

    - `specs`: those that no view before it has, as the VAE's under another seed.
    - `frame_rule`: what the features of a frame are.
    - `lighting`: the change of light that the frames went through, None for the videos as they are.
    """

    backbone: str
    control: bool
    seed: int
    specs: tuple[FeatureSpec, ...]
    clips: tuple[ClipWork, ...]
    lighting: Lighting | None = None
    frame_rule: FrameRule = USUAL_RULE

    @property
    def name(self) -> str:
        """For people: `tiny-t2v, seed 0`, or `tiny-t2v, seed 0, brightness 0.5`."""
        light = f", {self.lighting.kind} {self.lighting.strength:g}" if self.lighting else ""
        return f"{self.backbone}, seed {self.seed}{light}"


@dataclass(frozen=True)
class Cell:
    """One column of what is compared; `timestep` is None for what depends on the frames alone."""

    view: View
    spec: FeatureSpec
    tap: str
    timestep: Timestep | None

    @property
    def names(self) -> dict[str, object]:
        """The values of the columns `CELL`."""
        condition = self.spec.condition.kind if self.spec.condition else NONE
        noise = self.spec.noise.kind if self.spec.noise else NONE
        timestep = NONE if self.timestep is None else self.timestep
        view = self.view
        values = (view.backbone, view.control, condition, noise, view.seed, timestep, self.tap)
        return dict(zip(CELL, values, strict=True))

    @property
    def label(self) -> str:
        """For people: `tiny-t2v, vd-it/gaussian, t = 50, unet.up.2`."""
        parts = [self.view.backbone, self.spec.label] + ([] if self.timestep is None else [f"t = {self.timestep}"])
        return ", ".join([*parts, self.tap])

    def read(self, item: StoredItem) -> tuple[int, Float[np.ndarray, "F C h w"]]:
        """As `look`, in float32."""
        stride, features = self.look(item)
        return stride, features.astype(np.float32)

    def look(self, item: StoredItem) -> tuple[int, Float[np.ndarray, "F C h w"]]:
        """Stride and features of the clip's frames (`frames`), without what lies in the padding alone.

        A view of what is stored, if the store has it as floats and each frame has a map: only what is used is read.
        """
        stride = int(item.tap_attrs(self.tap)["stride"])
        height, width = (-(-side // stride) for side in item.attrs["frame_size"])
        return stride, item.read_frames(self.tap, self.timestep, self.view.frame_rule)[:, :, :height, :width]

    def frames(self, item: StoredItem) -> tuple[int, ...]:
        """The places in the clip of the frames that have features; all of them, but under the rule `ends`."""
        return item.frames_with_features(self.tap, self.view.frame_rule)


def keys_of(cell: Cell, item: StoredItem) -> Float[np.ndarray, "F C h w"] | None:
    """The keys of the attention whose queries a cell has (`blocks.3.q` and `blocks.3.k`), if they were extracted."""
    found = QUERIES.fullmatch(cell.tap)
    if found is None:
        return None
    tap = f"{found[1]}.k{found[2] or ''}"
    return replace(cell, tap=tap).read(item)[1] if tap in cell.spec.taps else None


def make_views(
    backbone: str, control: bool, plans: Sequence[tuple[int, Plan]], seen: set[str], frame_rule: FrameRule = USUAL_RULE
) -> list[View]:
    """A view for each (seed, plan); `seen` holds the keys of specs that are in a view already, and is added to."""
    views = []
    for seed, plan in plans:
        specs = tuple(spec for spec in plan.specs if spec.key not in seen)
        seen.update(spec.key for spec in specs)
        views.append(View(backbone, control, seed, specs, plan.clips, plan.config.lighting, frame_rule))
    return views


def cells_of(view: View, spec: FeatureSpec) -> list[Cell]:
    """The cells of a spec of the view."""
    return [Cell(view, spec, tap, timestep) for tap in spec.taps for timestep in spec.timesteps or (None,)]


def open_item(store: FeatureStore, spec: FeatureSpec, clip: ClipWork, text: str | None) -> StoredItem:
    """The item of a text, or of the clip where the features do not depend on text.

    Raises `StoreError` for one that was not extracted.
    """
    return store.get(spec.key, clip.item(spec, text))
