"""How a file asks players to turn and mirror its pictures, as a display matrix or an EXIF orientation."""

import struct
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from vdprobe.errors import DataError

TURNED_NOTE = "frames were turned as their file asks of players (videos.rotate: false takes them as stored)"
STORED_NOTE = "the rotation that the file asks of players was not applied: frames are used as stored"


@dataclass(frozen=True)
class Orientation:
    """Rows and columns change places first, then the order of rows or columns is reversed."""

    transpose: bool = False
    reverse_rows: bool = False
    reverse_columns: bool = False

    def apply(self, pixels: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "shown_height shown_width 3"]:
        """The picture as it is shown."""
        if self.transpose:
            pixels = pixels.transpose(1, 0, 2)
        if self.reverse_rows:
            pixels = pixels[::-1]
        if self.reverse_columns:
            pixels = pixels[:, ::-1]
        return np.ascontiguousarray(pixels)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The (height, width) of a shown picture from those of the stored one."""
        return (width, height) if self.transpose else (height, width)

    @property
    def name(self) -> str:
        """A word for digests, which must never change: `transposed+rows`."""
        parts = {"transposed": self.transpose, "rows": self.reverse_rows, "columns": self.reverse_columns}
        return "+".join(part for part, there in parts.items() if there)


UPRIGHT = Orientation()
_BY_EXIF = {
    2: Orientation(reverse_columns=True),
    3: Orientation(reverse_rows=True, reverse_columns=True),
    4: Orientation(reverse_rows=True),
    5: Orientation(transpose=True),
    6: Orientation(transpose=True, reverse_columns=True),
    7: Orientation(transpose=True, reverse_rows=True, reverse_columns=True),
    8: Orientation(transpose=True, reverse_rows=True),
}


def exif_orientation(value: object) -> Orientation:
    """The orientation of an EXIF number, 1 to 8; other values ask for nothing."""
    return _BY_EXIF.get(value, UPRIGHT) if isinstance(value, int) else UPRIGHT


def matrix_orientation(matrix: bytes, where: str) -> Orientation:
    """The orientation of FFmpeg's display matrix: nine 32-bit numbers, by rows.

    A point (x, y) is shown at (a x + c y, b x + d y), where a, b and c, d are the first two of the first rows. Raises
    `DataError` for an angle that is no multiple of 90 degrees.
    """
    a, b, _, c, d = struct.unpack("=5i", matrix[:20])
    if a and d and not b and not c:
        return Orientation(reverse_rows=d < 0, reverse_columns=a < 0)
    if b and c and not a and not d:
        return Orientation(transpose=True, reverse_rows=b < 0, reverse_columns=c < 0)
    raise DataError(
        f"{where} asks players to turn it by an angle that is no multiple of 90 degrees; "
        "encode it upright, or set videos.rotate: false to take it as stored"
    )
