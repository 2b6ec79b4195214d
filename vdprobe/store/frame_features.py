"""From the maps of a tap to the features of frames.

Shape letters: M maps, F frames, C channels, H W height and width.
"""

from collections.abc import Sequence

import numpy as np

from vdprobe.specs.spans import FrameSource


def on_frames(maps: np.ndarray, sources: Sequence[FrameSource], begin: int) -> np.ndarray:
    """The features `(F, C, H, W)` of the frames of `sources`, from the maps `(M, C, H, W)` from number `begin` on.

    Those of frames between two maps are mixed in float32, and then all are float32.
    """
    first = maps[[source.first - begin for source in sources]]
    between = [place for place, source in enumerate(sources) if source.share]
    if not between:
        return first
    mixed = first.astype(np.float32)
    for place in between:
        source = sources[place]
        mixed[place] += np.float32(source.share) * (maps[source.second - begin] - mixed[place])
    return mixed
