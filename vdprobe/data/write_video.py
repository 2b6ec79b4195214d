"""Frames to a video file that any player shows."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vdprobe.errors import DataError

RATE = 8
"""Frames a second: what ModelScopeT2V was trained at."""


def write_video(frames: Iterable[UInt8[np.ndarray, "H W 3"]], path: Path, rate: int = RATE) -> None:
    """An .mp4 file of RGB frames: H.264 where this build of FFmpeg has it, else MPEG-4.

    Colours are stored at half the resolution, which asks for even sides: an odd side is made even by
    repeating its last row or column. Frames are taken one by one, so that a film need not fit the memory. Raises
    `DataError` when the file cannot be written.
    """
    import av

    try:
        _write(frames, path, rate)
    except (av.FFmpegError, OSError) as error:
        raise DataError(f"cannot write {path} ({error.strerror}); check the folder and the space left") from error


def _write(frames: Iterable[UInt8[np.ndarray, "H W 3"]], path: Path, rate: int) -> None:
    import av

    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with av.open(path, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.pix_fmt = "yuv420p"
        if codec == "libx264":
            stream.options = {"crf": "14"}  # small frames show every artefact
        else:
            stream.bit_rate = 4_000_000
        for number, frame in enumerate(frames):
            height, width, _ = frame.shape
            even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            if number == 0:
                stream.height, stream.width = even.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())
