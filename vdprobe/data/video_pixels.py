"""A decoded frame of a video to 8-bit RGB, with a note for whatever a player would show in another way."""

from typing import Any

import numpy as np
from jaxtyping import UInt8

from vdprobe.data.pictures import GRAYSCALE_NOTE
from vdprobe.errors import DataError

WIDE_PRIMARIES = (9, 11, 12)
"""BT.2020 and the two P3, as ITU-T H.273 numbers them."""
HDR_CURVES = {16: "PQ", 18: "HLG"}


def to_rgb(frame: Any, where: str, notes: dict[str, None]) -> UInt8[np.ndarray, "height width 3"]:
    """The pixels of a frame as stored; adds to `notes`. Raises `DataError` for a transparent one."""
    components = frame.format.components
    colours = [c for c in components if not c.is_alpha]
    if len(colours) == 1 and not frame.format.has_palette:
        notes[GRAYSCALE_NOTE] = None
    bits = max(c.bits for c in colours)
    if bits > 8 and not frame.format.has_palette:
        notes[f"{bits}-bit frames were reduced to 8 bits"] = None
    if frame.interlaced_frame:
        notes["interlaced frames were not split into their two fields: moving edges are combed"] = None
    if frame.color_trc in HDR_CURVES:
        curve = HDR_CURVES[frame.color_trc]
        notes[f"the HDR curve {curve} was not converted: frames look flatter and darker than a player shows them"] = (
            None
        )
    if frame.color_primaries in WIDE_PRIMARIES or frame.colorspace in (9, 10):
        notes["the wide colours (BT.2020 or P3) were not converted: frames look paler than a player shows them"] = None
    if len(colours) == len(components):
        return np.asarray(frame.to_ndarray(format="rgb24"))
    rgba = np.asarray(frame.to_ndarray(format="rgba"))
    if rgba[..., 3].min() < 255:
        raise DataError(f"{where} is partly transparent; flatten the video onto one colour")
    return rgba[..., :3]
