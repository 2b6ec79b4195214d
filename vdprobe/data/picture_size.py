"""The largest picture that is decoded, asked of what a file declares before anything is allocated."""

from vdprobe.errors import DataError

MAX_PIXELS = 80_000_000
"""More than twice a frame of 8K, and below where Pillow warns; a few bytes can declare four billion pixels."""


def check_picture_size(where: str, width: int, height: int) -> None:
    """Raises `DataError` for a picture with more than `MAX_PIXELS` pixels; `where` names it."""
    if width * height > MAX_PIXELS:
        raise too_large(where, f"{width}x{height}")


def too_large(where: str, size: str = "too many") -> DataError:
    """The error about a picture that declares more pixels than are read."""
    return DataError(
        f"{where} declares {size} pixels; at most {MAX_PIXELS:,} are read: fetch it again, or make it smaller"
    )
