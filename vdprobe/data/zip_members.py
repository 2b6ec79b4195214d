"""Members of a zip: which names a file may have, and their content within a limit."""

import re
import stat
import unicodedata
import zipfile
from os.path import exists, isfile
from pathlib import Path
from typing import Literal

from vdprobe.data.parsing import parsing
from vdprobe.errors import DataError

METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflate"}
"""Ways to compress whose output can be taken piece by piece: of the others a few bytes inflate to gigabytes at once."""
NAME_BYTES = 255
"""The longest part of a name that file systems take."""
DRIVE = re.compile("[A-Za-z]:")
Fault = Literal["link", "too large", "no readable PNG"]


class MemberError(DataError):
    """A member that is not read, and the kind of its fault."""

    def __init__(self, message: str, kind: Fault) -> None:
        super().__init__(message)
        self.kind = kind


def is_unsafe(name: str) -> bool:
    """Whether a name would leave the folder that it is unpacked in, on any system, or cannot be shown or be a file's.

    That is an absolute one, with '..', a backslash or a drive, with control characters or what is no character, and
    one with an empty part or a part longer than `NAME_BYTES`.
    """
    if "\\" in name or any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name):
        return True
    return any(
        part in ("", ".", "..") or DRIVE.match(part) or len(part.encode()) > NAME_BYTES for part in name.split("/")
    )


def open_zip(path: Path, remedy: str) -> zipfile.ZipFile:
    """The zip; raises `DataError` for a file that is none."""
    if exists(path) and not isfile(path):
        raise DataError(f"{path} is no file; {remedy}")
    with parsing(path, "is no folder and no zip", remedy):
        return zipfile.ZipFile(path)


def member_name(info: zipfile.ZipInfo) -> str:
    """The name as it stands in the zip, composed: macOS decomposes accents. Python cuts it at a NUL."""
    return unicodedata.normalize("NFC", info.orig_filename)


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    """The content of a member; raises `MemberError` for a link, a damaged one and one of more than `most` bytes."""
    where = f"{archive.filename}: {member_name(info)}"
    if stat.S_ISLNK(info.external_attr >> 16):
        raise MemberError(f"{where} is a link to another file; put the file itself into the zip", "link")
    if info.compress_type not in METHODS:
        error = f"{where} is compressed by method {info.compress_type}; make the zip again with {METHODS[8]}"
        raise MemberError(error, "no readable PNG")
    if info.file_size <= most:
        try:
            with parsing(where, "cannot be read", "make the zip again"), archive.open(info) as file:
                content = file.read(most + 1)  # what it declares need not be so
        except DataError as error:
            raise MemberError(str(error), "no readable PNG") from error
        if len(content) <= most:
            return content
    raise MemberError(f"{where} has {max(info.file_size, most + 1):,} bytes, {most:,} are the most", "too large")
