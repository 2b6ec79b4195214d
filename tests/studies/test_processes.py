"""Processes that several things share."""

import os

import pytest

from vdprobe.errors import ConfigError, DataError
from vdprobe.studies.processes import kept_processes, spread


def who(chunk: list[int]) -> tuple[int, list[int]]:
    """The process, and what it was given. At module level: it is pickled by name."""
    if -1 in chunk:
        raise DataError("no such video")
    return os.getpid(), chunk


def asked(things: list[int], workers: int) -> tuple[set[int], list[int]]:
    """The processes of a `spread`, and all that was given, in order."""
    made = list(spread(who, things, chunk=2, workers=workers))
    return {process for process, _ in made}, [thing for _, chunk in made for thing in chunk]


def test_processes_are_kept_within_an_error_too():
    with kept_processes(2), kept_processes(2):
        first, given = asked(list(range(8)), 2)
        with pytest.raises(DataError, match="no such video"):
            asked([0, 1, 2, -1, 4, 5, 6, 7], 2)
        second, _ = asked(list(range(8)), 2)
        alone, _ = asked(list(range(8)), 1)
    later, _ = asked(list(range(4)), 2)
    assert given == list(range(8))
    assert len(first | second) <= 2 and os.getpid() not in first | second
    assert alone == {os.getpid()}
    assert not later & first


def test_order_and_progress_are_the_same_for_any_number_of_workers():
    told: list[tuple[int, int]] = []
    made = spread(sum, range(5), chunk=2, workers=1, on_progress=lambda done, count: told.append((done, count)))
    assert list(made) == [1, 5, 4] == list(spread(sum, range(5), chunk=2, workers=3))
    assert told == [(2, 5), (4, 5), (5, 5)]


def test_no_workers():
    with pytest.raises(ConfigError, match=r"workers \(=0\) must be at least 1"):
        list(spread(sum, [1], chunk=1, workers=0))
