"""The checksum of stored files: CRC-32C, which keeps up with the page cache where SHA-256 does not.

It finds any flipped bit and any torn write; it is no defence against someone who forges a file.
"""

from pathlib import Path

import numpy as np

ALGORITHM = "crc32c"
"""The name kept in every commit record, so that another one can follow it."""


def extend(crc: int, data: bytes | np.ndarray) -> int:
    """The checksum of what `crc` covers followed by `data` (bytes, or a contiguous uint8 array)."""
    import google_crc32c  # comes with zarr

    return int(google_crc32c.extend(crc, data))


def checksum_file(path: Path) -> str:
    """The checksum of a file, 8 hex digits. Raises `OSError`."""
    crc = 0
    with open(path, "rb", buffering=0) as file:
        while block := file.read(1 << 20):
            crc = extend(crc, block)
    return f"{crc:08x}"
