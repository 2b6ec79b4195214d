"""One image file to RGB, with a note for whatever was done to it on the way."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vdprobe.data.open_picture import FRAME_FORMATS, open_picture
from vdprobe.data.orientation import STORED_NOTE, TURNED_NOTE, UPRIGHT, Orientation, exif_orientation
from vdprobe.errors import DataError

GRAYSCALE_NOTE = "grayscale frames were replicated to RGB"
AGAIN = "fetch it again or export it as PNG or JPEG"
EXIF_ORIENTATION = 274
TURNED_FORMATS = ("JPEG", "MPO", "WEBP")
"""Formats whose EXIF orientation every player follows. TIFF is turned by Pillow itself; of PNG few know it."""


def read_picture(path: Path, *, rotate: bool = True) -> tuple[UInt8[np.ndarray, "height width 3"], tuple[str, ...]]:
    """The pixels (height, width, 3) of an image file and notes worth telling the user.

    `rotate` turns it as its EXIF orientation asks. Raises `DataError` when the file is missing, damaged, transparent,
    or of a kind whose conversion to 8-bit RGB would be a guess.
    """
    # Pillow reports odd files by warnings: they become notes instead of lines among the progress
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with open_picture(path, str(path), FRAME_FORMATS, AGAIN) as image:
                turn = _orientation(image) if rotate else UPRIGHT
                pixels, notes = _to_rgb(image, path)
                if turn != UPRIGHT:
                    notes.append(TURNED_NOTE)
                elif image.getexif().get(EXIF_ORIENTATION, 1) != 1:
                    notes.append(STORED_NOTE)
        except FileNotFoundError as error:
            raise DataError(f"there is no frame {path}; fetch it again or check the path") from error
    notes += [" ".join(str(warning.message).split()) for warning in caught]
    return turn.apply(pixels) if turn != UPRIGHT else pixels, tuple(notes)


def picture_size(path: Path, *, rotate: bool = False) -> tuple[int, int]:
    """(width, height) of an image file, from its header alone; raises `DataError` when that cannot be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with open_picture(path, str(path), FRAME_FORMATS, AGAIN) as image:
                width, height = image.size
                shown = (_orientation(image) if rotate else UPRIGHT).size(height, width)
        except FileNotFoundError as error:
            raise DataError(f"there is no frame {path}; fetch it again or check the path") from error
    return shown[1], shown[0]


def picture_turn(path: Path) -> str:
    """A name for how an image file asks to be turned, empty where it does not, or is no picture."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with open_picture(path, str(path), FRAME_FORMATS, AGAIN) as image:
                return _orientation(image).name
        except (DataError, FileNotFoundError):
            return ""


def _orientation(image: Any) -> Orientation:
    if image.format not in TURNED_FORMATS:
        return UPRIGHT
    return exif_orientation(image.getexif().get(EXIF_ORIENTATION, 1))


def _to_rgb(image: Any, path: Path) -> tuple[np.ndarray, list[str]]:
    notes = []
    # phones write a preview behind the picture (MPO); any other series holds more than one frame
    pictures = getattr(image, "n_frames", 1)
    if pictures > 1 and image.format != "MPO":
        raise DataError(f"{path} holds {pictures} pictures, so which is the frame is unclear; save each as a file")
    wide = any(";16" in str(tile) for tile in image.tile)
    image.load()
    if image.mode in ("1", "L", "LA"):
        notes.append(GRAYSCALE_NOTE)
    if image.mode in ("I;16", "I;16B", "I;16L"):
        notes.append("16-bit grayscale frames were scaled from 0..65535 to 0..255 and replicated to RGB")
        gray = (np.asarray(image).astype(np.uint32) * 255 + 32767) // 65535
        return np.repeat(gray.astype(np.uint8)[..., None], 3, axis=2), notes
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        raise DataError(f"{path} has pixels of kind '{image.mode}'; convert it to 8-bit RGB")
    if wide:
        notes.append("16-bit colour frames were reduced to their upper 8 bits")
    if not image.has_transparency_data:
        return np.array(image.convert("RGB")), notes
    rgba = np.array(image.convert("RGBA"))
    if rgba[..., 3].min() < 255:
        raise DataError(f"{path} is partly transparent and its background is unknown; flatten it onto one colour")
    return rgba[..., :3], notes
