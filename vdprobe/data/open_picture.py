"""The one door through which picture files are opened: known formats, sane sizes, and faults in one line."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from vdprobe.data.picture_size import check_picture_size, too_large
from vdprobe.errors import DataError, VdprobeError

FRAME_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
"""What frames may be, by Pillow's names. It knows 40 more; of some it starts other programs to read them."""
MASK_FORMATS = ("PNG",)
HEAD = 32


@contextmanager
def open_picture(source: Path | bytes, where: str, formats: tuple[str, ...], again: str) -> Iterator[Any]:
    """A picture that is open while the block runs; what goes wrong in the block is told as what goes wrong here.

    `where` names the picture in messages and `again` says how to come by a better one. Raises `FileNotFoundError`
    as it comes, and `DataError` for another format, a size past the limit, and whatever Pillow makes of damage.
    """
    try:
        with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file:
            head = file.read(HEAD)
            _check_declared_size(head, where)
            file.seek(0)
            with Image.open(file, formats=formats) as image:
                check_picture_size(where, *image.size)
                yield image
    except (VdprobeError, FileNotFoundError):
        raise
    except Image.DecompressionBombError as error:
        raise too_large(where) from error
    except UnidentifiedImageError as error:
        raise DataError(f"{where} {_what_it_is(head, formats)}; {again}") from error
    except Exception as error:  # its decoders have no common error: damage can end in any
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{where} cannot be read ({reason}); it may be damaged: {again}") from error


def _what_it_is(head: bytes, formats: tuple[str, ...]) -> str:
    found = _format_of(head)
    if found in formats:
        return f"is a {found} with a damaged header"
    wanted = "a PNG" if formats == MASK_FORMATS else f"an image in a known format ({', '.join(formats)})"
    return f"is not {wanted}" + (f" but {found}" if found else "")


def _format_of(head: bytes) -> str | None:
    """Pillow's name of a format by the first bytes, without opening it."""
    Image.init()
    for name, (_, accepts) in Image.OPEN.items():
        try:
            if accepts is not None and accepts(head) is True:
                return name
        except Exception:  # some look further than a short file reaches
            continue
    return None


def _check_declared_size(head: bytes, where: str) -> None:
    """Of a WebP before it is opened, since that allocates it; of a PNG, so that the message has its size."""
    if head[:8] == b"\x89PNG\r\n\x1a\n" and len(head) >= 24:
        check_picture_size(where, int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big"))
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP" or len(head) < 30:
        return
    if head[12:16] == b"VP8X":
        width, height = (1 + int.from_bytes(head[at : at + 3], "little") for at in (24, 27))
    elif head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    check_picture_size(where, width, height)
