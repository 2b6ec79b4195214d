"""`Analysis`: what one kind of analysis adds to what all share."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from jaxtyping import Float

from vdprobe.data.video import Failure
from vdprobe.store.store import FeatureStore
from vdprobe.studies.analysis.cells import Cell, View
from vdprobe.studies.analysis.object_masks import ObjectGrid
from vdprobe.studies.analysis.parts import Part
from vdprobe.studies.analysis.samples import Sample
from vdprobe.studies.analysis.tables import Tables


@dataclass(frozen=True)
class Measured:
    """One sample in one cell.

    - `features`: without the padding; `stride`: pixels of the resized frames a feature's side.
    - `other`: the same cell's features of another video, None where there is but one. The same function for all
      samples of the cell in a clip.
    - `places`: of the frames in their clip, of which some have no features under the rule `ends`; empty for all.
    - `keys`: of the attention whose queries the features are, on the same grid; None for any other tap, and where the
      keys were not extracted.
    """

    sample: Sample
    features: Float[np.ndarray, "F C h w"]
    stride: int
    other: Callable[[], Float[np.ndarray, "G C h2 w2"] | None]
    places: tuple[int, ...] = ()
    keys: Callable[[], Float[np.ndarray, "F C h w"] | None] = lambda: None

    @property
    def after_first(self) -> tuple[int, ...]:
        """How many frames of the clip each frame comes after the first."""
        places = self.places or tuple(range(len(self.features)))
        return tuple(place - places[0] for place in places)

    @property
    def grid(self) -> tuple[int, int]:
        """(height, width) in features."""
        height, width = self.features.shape[2:]
        return height, width

    @property
    def objects(self) -> ObjectGrid:
        """The objects of the clip under the grid of the features."""
        return ObjectGrid(self.sample.objects, self.grid, self.stride)


class Measure(Protocol):
    """Rows of a sample: mappings with the analysis's keys and `value`, nan where there is nothing to measure."""

    def __call__(self, measured: Measured, config: Any) -> Sequence[dict[str, Any]]:
        """The rows; raises `DataError` for a sample that cannot be measured, which is then listed."""


class Picture(Protocol):
    """Pictures of a sample: a row for each label, in it a picture for each frame, with values in [0, 1]."""

    def __call__(self, measured: Mapping[str, Measured], config: Any) -> Mapping[str, Float[np.ndarray, "F _ _ 3"]]:
        """The rows; `measured` holds the sample in the shown cell of each series, by the series' name."""


Rows = tuple[list[dict[str, Any]], list[Failure]]
"""Of an analysis's table, and what could not be measured."""


@dataclass(frozen=True)
class Gather:
    """How values are found that need all videos at once, or several cells of a clip.

    - `units`: from all views the cells that are looked at together.
    - `rows`: of one unit, video by video: mappings of a cell's `names`, `video`, the analysis's keys and `value`.
      All of a video come at once, so that no more than that need be in memory.
    """

    units: Callable[[Sequence[View], Any], Sequence[tuple[Cell, ...]]]
    rows: Callable[[tuple[Cell, ...], FeatureStore, Any], Iterable[Rows]]


@dataclass(frozen=True)
class Direct:
    """How values are found for which no features are needed.

    - `parts`: from the configuration, the number of processes, and a function that is told (of what, how many are
      done, of how many): tables as `video_values` makes them, and what could not be measured.
    """

    parts: Callable[[Any, int, Callable[[str, int, int], None] | None], Iterator[Part]]


class Beyond(Protocol):
    """Values that do not come from cells, such as those of masks."""

    def __call__(
        self, config: Any, out: Path, extracting: bool, on_progress: Callable[[str, int, int], None] | None
    ) -> Iterator[Part]:
        """As the parts of a `Direct`; what they make on the way goes into the folder `out`."""


@dataclass(frozen=True)
class Analysis:
    """One kind of analysis.

    - `config`: an `AnalysisConfig`, or for a `Direct` one what it needs; all have `shown`.
    - `measure`: how values are found, sample by sample, over all clips, or without features.
    - `keys`: columns of its rows beside the cell and the value; `factors`: columns whose levels are compared.
    - `draw`: figures from the tables, into a folder; gives their paths. Reads tables alone, so that every
      figure can be drawn again.
    - `needs`: what a video must have to get a value, in words.
    - `headline`: the rows of a summary that answer the question in short.
    - `compared`: the rows of values for which differences are asked.
    - `beyond`: further values, which do not come from cells.
    - `picture`: drawn for the first videos, where there is one; `pictured`: what it shows, in words.
    """

    name: str
    config: type[Any]
    keys: tuple[str, ...]
    factors: tuple[str, ...]
    measure: Measure | Gather | Direct
    draw: Callable[[Tables, Any, Path], list[Path]]
    needs: str = "masks of its objects"
    headline: Callable[[pd.DataFrame], pd.DataFrame] = pd.DataFrame.copy
    compared: Callable[[pd.DataFrame], pd.DataFrame] = pd.DataFrame.copy
    beyond: Beyond | None = None
    picture: Picture | None = None
    pictured: str = ""
