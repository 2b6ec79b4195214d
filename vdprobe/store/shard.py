"""The file of one timestep of a tap: its maps as raw bits, one after the other, and where each begins.

It is a shard of zarr's `sharding_indexed` without compression, of one inner chunk a map and with the index at the end.
So any reader of zarr fetches a single map by range, and what is before the index can be mapped as it is.
"""

from typing import Any

import numpy as np

from vdprobe.store.checksum import extend

CODEC = "sharding_indexed"


def make_index(maps: int, size: int) -> bytes:
    """Offset and size of each map, `size` bytes long, and the checksum of that."""
    entries = np.empty((maps, 2), "<u8")
    entries[:, 0], entries[:, 1] = np.arange(maps) * size, size
    content = entries.tobytes()
    return content + extend(0, content).to_bytes(4, "little")


def index_size(maps: int) -> int:
    """Bytes of the index of that many maps."""
    return 16 * maps + 4


def shard_codec(chunk: tuple[int, ...], bits: dict[str, Any]) -> dict[str, Any]:
    """zarr's metadata of such a file; `chunk` is the shape of the inner chunks, `bits` the codec of their values."""
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    return {
        "name": CODEC,
        "configuration": {
            "chunk_shape": list(chunk),
            "codecs": [bits],
            "index_codecs": [little, {"name": "crc32c"}],
            "index_location": "end",
        },
    }
