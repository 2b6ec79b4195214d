"""Pictures of what is seen to a film, as MP4 or GIF."""

import io
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vdprobe.data.write_video import RATE, write_video
from vdprobe.errors import DataError

FilmKind = Literal["mp4", "gif"]
MOST_PIXELS = 1 << 24
"""Of one picture: more is no page of a screen."""


def read_pictures(parts: Sequence[bytes]) -> UInt8[np.ndarray, "F H W 3"]:
    """PNG or JPEG pictures of one size. Raises `DataError` for anything else."""
    out = []
    for number, part in enumerate(parts):
        try:
            with Image.open(io.BytesIO(part), formats=("PNG", "JPEG")) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise DataError(
                        f"picture {number} has {image.width}x{image.height} pixels; make the window smaller"
                    )
                out.append(np.asarray(image.convert("RGB")))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise DataError(f"picture {number} of the film is no whole PNG or JPEG; load the page again") from error
        if out[-1].shape != out[0].shape:
            raise DataError(f"picture {number} of the film has another size than the first; load the page again")
    if not out:
        raise DataError("a film needs at least one picture; load the page again")
    return np.stack(out)


def encode_film(pictures: UInt8[np.ndarray, "F H W 3"], kind: FilmKind, rate: int = RATE) -> bytes:
    """The film as a file's bytes; a GIF has one palette for all frames, and repeats."""
    if kind == "mp4":
        with TemporaryDirectory() as folder:
            path = Path(folder) / "film.mp4"
            write_video(iter(pictures), path, rate)
            return path.read_bytes()
    out = io.BytesIO()
    sheet = Image.fromarray(pictures[:: max(1, len(pictures) // 6)].reshape(-1, *pictures.shape[2:]))
    palette = sheet.quantize(256)
    frames = [Image.fromarray(picture).quantize(palette=palette) for picture in pictures]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=round(1000 / rate), loop=0)
    return out.getvalue()
