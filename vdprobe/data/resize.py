"""Frames to the size and range that the model takes."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from vdprobe.errors import DataError
from vdprobe.specs.video import Resize

PAD_COLOUR = (0.485, 0.456, 0.406)
"""The ImageNet mean, in [0, 1]."""


@dataclass(frozen=True)
class PreparedFrames:
    """What the model sees.

    - `pixels`: (frame, 3, height, width) in [-1, 1], padded to the right and the bottom.
    - `size`: (height, width) of the picture within, before padding.
    - `source_size`: (height, width) of the video.
    """

    pixels: Float32[np.ndarray, "frames 3 height width"]
    size: tuple[int, int]
    source_size: tuple[int, int]


def target_size(height: int, width: int, resize: Resize) -> tuple[int, int]:
    """The (height, width) of a picture after resizing, in pixels.

    Raises `DataError` when a side would become 0.
    """
    if resize.short_side is None:
        return height, width
    low, high = min(height, width), max(height, width)
    short = resize.short_side
    if resize.long_side is not None and high / low * short > resize.long_side:
        short = round(resize.long_side * low / high)
    long = int(short * high / low)
    if short < 1:
        raise DataError(
            f"a frame of {width}x{height} pixels would be resized to a height or width of 0; "
            "its shape is too extreme: crop it, or raise resize.long_side"
        )
    return (short, long) if height <= width else (long, short)


def padded_size(size: tuple[int, int], resize: Resize) -> tuple[int, int]:
    """The (height, width) that the model sees of a picture of `size`, padded to the right and the bottom."""
    height, width = (-(-side // resize.multiple) * resize.multiple for side in size)
    return height, width


def prepare_frames(frames: UInt8[np.ndarray, "frames height width 3"], resize: Resize) -> PreparedFrames:
    """RGB frames (frame, height, width, 3) mirrored if asked for, resized bilinearly, scaled to [-1, 1] and padded."""
    count, source_height, source_width, _ = frames.shape
    height, width = target_size(source_height, source_width, resize)
    if resize.flip:
        frames = frames[:, :, ::-1]
    pixels = _padding(count, *padded_size((height, width), resize))
    for i in range(count):
        picture = frames[i]
        if (height, width) != (source_height, source_width):
            # Pillow widens the filter when it shrinks, so nothing aliases
            resized = Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)
            picture = np.asarray(resized)
        pixels[i, :, :height, :width] = picture.transpose(2, 0, 1).astype(np.float32) / 255 * 2 - 1
    return PreparedFrames(pixels, (height, width), (source_height, source_width))


def pad_frames(
    pixels: Float32[np.ndarray, "frames 3 height width"], height: int, width: int
) -> Float32[np.ndarray, "frames 3 _ _"]:
    """Frames that are padded further, to (`height`, `width`), as `prepare_frames` pads them."""
    if pixels.shape[2:] == (height, width):
        return pixels
    out = _padding(len(pixels), height, width)
    out[:, :, : pixels.shape[2], : pixels.shape[3]] = pixels
    return out


def _padding(count: int, height: int, width: int) -> Float32[np.ndarray, "frames 3 height width"]:
    pixels = np.empty((count, 3, height, width), dtype=np.float32)
    # float32 throughout, as the scaling of the picture is
    pixels[:] = (np.array(PAD_COLOUR, dtype=np.float32) * 2 - 1).reshape(3, 1, 1)
    return pixels
