"""Where a clip is like one of its places."""

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from vdprobe.look.decoded import DecodedClip

TINY = 1e-12


def cosine_map(
    clip: DecodedClip, frame: int, cell: tuple[int, int], *, centred: bool = False
) -> Float32[np.ndarray, "F h w"]:
    """The cosine of every place of a clip with the place `cell` (row, column) of a frame.

    - `centred`: of the features without the clip's mean one: what all places share makes every cosine high.
    """
    query = clip.place(frame, *cell)
    if centred:
        query = query - clip.mean
    products = clip.project(query[:, None])[..., 0]
    if centred:
        products -= clip.mean @ query
    lengths = (clip.centred_norms if centred else clip.norms) * query.norm()
    cosines: Tensor = products / lengths.clamp(min=TINY)
    return torch.clamp(cosines, -1, 1).view(-1, clip.grid.rows, clip.grid.columns).numpy()
