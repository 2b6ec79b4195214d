"""A file that HDF5 writes into, in which a full disk is an error and not a crash."""

import io
import os
from pathlib import Path
from typing import Any


class Hdf5Target(io.RawIOBase):
    """What `h5py.File` takes as its file; call `check` after each write, and once it is closed.

    HDF5 does not survive a failed write: it tries to write the rest again when it closes the file, and when the process
    ends, and crashes there. So it is told that all went well: the first error is kept, and what comes after it stays in
    memory, where HDF5 may read it again.
    """

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        self.error: OSError | None = None
        self.at = 0
        self.unwritten: list[tuple[int, bytes]] = []

    def check(self) -> None:
        """Raises the `OSError` of the first write that failed."""
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Closes the file, not what was written of it."""
        if not self.closed:
            os.close(self.descriptor)
        super().close()

    def seekable(self) -> bool:
        """Any place can be written."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves the place, from the start, from here or from the end."""
        end = max([os.fstat(self.descriptor).st_size, *(at + len(data) for at, data in self.unwritten)])
        self.at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: end}[whence]
        return self.at

    def tell(self) -> int:
        """The place."""
        return self.at

    def readinto(self, out: Any) -> int:
        """Fills `out` with what was written, or should have been, and with zeros where nothing was."""
        found = bytearray(os.pread(self.descriptor, len(out), self.at).ljust(len(out), b"\0"))
        for at, data in self.unwritten:
            first, last = max(at, self.at), min(at + len(data), self.at + len(out))
            if first < last:
                found[first - self.at : last - self.at] = data[first - at : last - at]
        out[:] = found
        self.at += len(out)
        return len(out)

    def write(self, given: Any) -> int:
        """Takes all that is given."""
        data = memoryview(given).cast("B")
        done = 0
        try:
            while done < len(data) and self.error is None:
                done += os.pwrite(self.descriptor, data[done:], self.at + done)
        except OSError as error:
            self.error = error
        if done < len(data):
            self.unwritten.append((self.at + done, bytes(data[done:])))
        self.at += len(data)
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Makes the file as long as `size`."""
        size = self.at if size is None else size
        if self.error is None:
            try:
                os.ftruncate(self.descriptor, size)
            except OSError as error:
                self.error = error
        return size

    def flush(self) -> None:
        """Nothing is held back."""
