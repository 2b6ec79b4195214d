"""The largest picture that is decoded, asked of what a file declares before anything is allocated."""

from vdprobe.errors import DataError

MAX_PIXELS = 100_000_000
"""Three times a frame of 8K; a few bytes can declare four billion pixels."""


def check_picture_size(where: str, width: int, height: int) -> None:
    """Raises `DataError` for a picture with more than `MAX_PIXELS` pixels; `where` names it."""
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{where} declares {width}x{height} pixels, more than the {MAX_PIXELS:,} that are read; "
            "it may be damaged: fetch it again, or make it smaller"
        )
