"""Where errors become a line: what a user's options, files and machine can cause is told, and a bug is a traceback."""

import errno
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import typer

from vdprobe.errors import ConfigError, VdprobeError, one_line, shown

_USAGE = typer.BadParameter.mro()[1]
"""`UsageError`, of which typer makes no name: an option that is unknown, missing or no number."""
INTERRUPTED = 130
REMEDIES = {
    errno.ENOSPC: "free space and run it again",
    errno.EDQUOT: "free space and run it again",
    errno.EFBIG: "free space and run it again",
    errno.EROFS: "give another place to write to",
    errno.EACCES: "change its permissions, or give another path",
    errno.EPERM: "change its permissions, or give another path",
    errno.ENOENT: "give a path that is there",
    errno.ENOTDIR: "give the path of a folder",
    errno.EISDIR: "give the path of a file",
    errno.EEXIST: "give another path",
    errno.ENOTEMPTY: "give another path",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.ELOOP: "give a path whose links end",
    errno.EBUSY: "close what uses it and run it again",
    errno.ETXTBSY: "close what uses it and run it again",
    errno.EMFILE: "raise `ulimit -n`, or give fewer --workers",
    errno.ENFILE: "close other programs and run it again",
    errno.EIO: "check the disk",
    errno.ESTALE: "mount the folder again",
    errno.ENOMEM: "give fewer --workers, or smaller clips",
}
"""What to do about what the machine refuses, by its number. Any other refusal is a bug until it is known here."""


def check_arguments(arguments: Sequence[str]) -> None:
    """Raises `ConfigError` for an argument that no command can take: an empty one, or bytes that are no text.

    An empty path would be the current folder, and an empty option as if it were not given.
    """
    for number, argument in enumerate(arguments, start=1):
        before = arguments[number - 2] if number > 1 else "the command"
        if not argument or re.fullmatch(r"--[a-z-]+=", argument):
            what = argument.rstrip("=") if argument else f"what follows {shown(before)}"
            raise ConfigError(f"{what} is empty; give it a value, or leave the option out")
        if re.search("[\\ud800-\\udfff]", argument):
            raise ConfigError(
                f"argument {number} ({shown(argument)}) is not UTF-8; rename the file, or write it in UTF-8"
            )


@contextmanager
def boundary() -> Iterator[None]:
    """Ends the program with a line and a status for every error that is no bug."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter gets it written out
    try:
        yield
    except ConfigError as error:
        _fail(str(error), 2)
    except VdprobeError as error:
        _fail(str(error), 1)
    except typer.Abort:
        _fail("aborted", 1)
    except KeyboardInterrupt:
        _fail("interrupted: run the same command again to go on", INTERRUPTED)
    except BrokenPipeError:
        # the reader has seen enough; what is left in the buffer goes nowhere when the interpreter ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except OSError as error:
        if error.errno not in REMEDIES:
            raise
        place = f" {error.filename}" if error.filename is not None else ""
        _fail(f"the system refuses{place}: {error.strerror}; {REMEDIES[error.errno]}", 1)
    except UnicodeEncodeError as error:
        if not re.search("[\\ud800-\\udfff]", str(error.object)):
            raise
        _fail(f"a text holds half of a character ({shown(error.object)}); write the whole character in its file", 1)
    except RecursionError:
        _fail("a file or an option is nested too deeply to be read; write it flatter", 1)
    except MemoryError as error:
        _fail(f"memory is full ({error}); give fewer --workers, or smaller clips", 1)
    except Exception as error:
        if not isinstance(error, _USAGE):
            raise
        _fail_usage(error)


def _fail_usage(error: Exception) -> NoReturn:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":  # nothing was asked: help is the answer
        print(str(error), file=sys.stderr)
        sys.exit(2)
    told = str(getattr(error, "format_message", error.__str__)()).rstrip(".")
    help_ = f"; see `{context.command_path} --help`" if context is not None else ""
    _fail(f"{told[:1].lower()}{told[1:]}{help_}", 2)


def _fail(message: str, status: int) -> NoReturn:
    print(f"error: {one_line(message)}", file=sys.stderr)
    sys.exit(status)
