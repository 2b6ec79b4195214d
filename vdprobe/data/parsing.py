"""The boundary to the parsers of other libraries: whatever they raise about a file is an error that names it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vdprobe.errors import DataError, VdprobeError, one_line


@contextmanager
def parsing(path: Path | str, fault: str, remedy: str) -> Iterator[None]:
    """Turns every exception of a parser into `DataError("<path> <fault> (<reason>); <remedy>")`.

    What is a `VdprobeError` already passes, and so does what is no `Exception` (Ctrl-C).
    """
    try:
        yield
    except VdprobeError:
        raise
    except OSError as error:
        if error.errno is None or error.strerror is None:  # what a library says of a file's content
            raise DataError(f"{path} {fault} ({_reason(error)}); {remedy}") from error
        raise DataError(f"cannot read {path}: {error.strerror}; {remedy}") from error
    except Exception as error:
        # parsers are written for whole files: of damaged ones they raise anything, MemoryError among it
        raise DataError(f"{path} {fault} ({_reason(error)}); {remedy}") from error


def _reason(error: Exception) -> str:
    return one_line(" ".join(str(error).split()) or type(error).__name__, 300)
