"""Where every draw comes from: a hash of what it is for, so that it depends on nothing else."""

import hashlib


def draw_digest(*name: object) -> bytes:
    """32 bytes that belong to a name, such as (purpose, seed, video id, frame). Ids may hold any characters."""
    return hashlib.sha256("\0".join(map(str, name)).encode("utf-8", "surrogatepass")).digest()
