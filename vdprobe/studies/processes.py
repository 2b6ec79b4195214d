"""The same function over many things, in one process or several."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from multiprocessing import get_context
from typing import TypeVar

from vdprobe.errors import ConfigError

In = TypeVar("In")
Out = TypeVar("Out")


def spread(
    function: Callable[[list[In]], Out],
    things: Sequence[In],
    *,
    chunk: int,
    workers: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[Out]:
    """`function` of every `chunk` of `things`, in order; the same for any number of `workers`.

    With several, each is a process of its own, and what is given and returned must pickle. `on_progress`
    gets (things done, all of them). Raises `ConfigError` for less than one worker.
    """
    if workers < 1:
        raise ConfigError(f"workers (={workers}) must be at least 1")
    chunks = [list(things[i : i + chunk]) for i in range(0, len(things), chunk)]
    done = 0
    for part, made in zip(chunks, _map(function, chunks, min(workers, len(chunks))), strict=True):
        done += len(part)
        if on_progress is not None:
            on_progress(done, len(things))
        yield made


@contextmanager
def kept_processes(workers: int) -> Iterator[None]:
    """Within, every `spread` has these processes, if it asks for any: to start one takes seconds.

    They start when there is something for them to do. Within another one, they are that one's.
    """
    if workers <= 1 or _kept.get() is not None:
        yield
        return
    with _processes(workers) as pool:
        token = _kept.set(pool)
        try:
            yield
        finally:
            _kept.reset(token)


_kept: ContextVar[ProcessPoolExecutor | None] = ContextVar("_kept", default=None)


def _processes(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


def _map(function: Callable[[list[In]], Out], chunks: list[list[In]], workers: int) -> Iterator[Out]:
    if workers <= 1:
        yield from map(function, chunks)
        return
    kept = _kept.get()
    with nullcontext(kept) if kept else _processes(workers) as pool:
        yield from pool.map(function, chunks)  # after an error, or Ctrl-C, what has not begun is not waited for
