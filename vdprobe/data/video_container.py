"""A video file opened by FFmpeg: which containers are read, and how their faults become one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vdprobe.data.mov_tables import check_tables
from vdprobe.data.picture_size import MAX_PIXELS, check_picture_size
from vdprobe.errors import DataError, VdprobeError

DEMUXERS = ("mov", "matroska", "avi", "gif", "mpegts", "mpeg", "mpegvideo", "flv", "asf", "ogg", "yuv4mpegpipe")
"""FFmpeg's names of the containers that are read.

Playlists (concat, HLS, DASH) and patterns of pictures are not among them: they show what other files hold, of which
a video's digest knows nothing.
"""
READ_AS = "mp4, mov, mkv, webm, avi, gif, MPEG, flv, wmv, ogv or y4m"
LIMITS = {"max_pixels": str(MAX_PIXELS)}
OPTIONS = {"protocol_whitelist": "file", "format_whitelist": ",".join(DEMUXERS), **LIMITS}


@contextmanager
def faults_of(path: Path, what: str) -> Iterator[None]:
    """Turns whatever FFmpeg or PyAV raises inside into a `DataError`; `what` says what could not be done."""
    try:
        yield
    except VdprobeError:
        raise
    except Exception as error:  # their errors have no common base: a header can ask for any number or text
        reason = " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())
        raise DataError(
            f"{path} {what} ({reason}); it may be cut short, or be no video in a container that is read "
            f"({READ_AS}): fetch or encode it again"
        ) from error


def open_container(path: Path) -> tuple[Any, Any]:
    """The container and its best picture stream; raises `DataError` where there is none that can be decoded.

    The decoder is told to carry each packet's `opaque` over to the frame that it makes of it.
    """
    import av

    if not path.is_file():
        raise DataError(f"there is no video file {path}; check the path")
    with faults_of(path, "cannot be opened as a video"):
        check_tables(path)
        # absolute, since FFmpeg takes what stands before a ':' for a protocol
        container = av.open(str(path.absolute()), options=dict(OPTIONS), metadata_errors="replace")
    try:
        return container, _picture_stream(path, container)
    except DataError:
        container.close()
        raise


def _picture_stream(path: Path, container: Any) -> Any:
    with faults_of(path, "cannot be opened as a video"):
        stream = container.streams.best("video")
        if stream is None or stream.codec_context is None:
            lack = "no picture track" if stream is None else "a picture track for which there is no decoder"
            raise DataError(f"{path} holds {lack}; encode it again, for instance as H.264 in mp4")
        check_picture_size(str(path), stream.width, stream.height)
        stream.codec_context.copy_opaque = True
        stream.codec_context.options = dict(LIMITS)
        if stream.codec_context.name == "libdav1d":  # whose threads may wait for each other for ever when it is closed
            stream.codec_context.thread_count = 1
        return stream


def is_mov(container: Any) -> bool:
    """Whether a file is an mp4 or mov."""
    return "mov" in container.format.name.split(",")


def is_matroska(container: Any) -> bool:
    """Whether a file is an mkv or webm."""
    return "matroska" in container.format.name.split(",")
