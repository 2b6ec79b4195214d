"""Writes finished items beside the computation, one at a time, with a bounded backlog."""

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from vdprobe.data.video import Failure
from vdprobe.errors import StoreUnusableError, VdprobeError
from vdprobe.extraction.report import Report
from vdprobe.specs.clip import clip_name
from vdprobe.specs.features import STORED_BYTES, FeatureSpec, Item
from vdprobe.specs.layer import TapPlace
from vdprobe.store.store import FeatureStore

BACKLOG = 2
"""Items that may wait in memory while the next is computed."""


class ItemWriter:
    """A thread that commits items, so that the device does not wait for the disk.

    Failures of single items go into the report; a store that cannot be written is raised from the
    next `write` or from `close`.
    """

    def __init__(self, store: FeatureStore, report: Report, tick: Callable[[Report], None]) -> None:
        self.store, self.report, self.tick = store, report, tick
        self.pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vdprobe-writer")
        self.waiting: deque[tuple[str, int, Future[bool]]] = deque()
        self.calls: list[Future[None]] = []

    def write(
        self,
        spec: FeatureSpec,
        item: Item,
        features: Mapping[str, np.ndarray],
        places: Mapping[str, TapPlace],
        attrs: Mapping[str, Any],
    ) -> None:
        """Queues one item; blocks while the backlog is full."""
        while len(self.waiting) >= BACKLOG:
            self._settle()
        where = f"{clip_name(item.video, item.frames)} {spec.label}"
        where += f" {item.text!r}" if item.text is not None else ""
        size = sum(values.size for values in features.values()) * STORED_BYTES[spec.store_dtype]
        future = self.pool.submit(self.store.write, spec, item, features, places=places, attrs=attrs)
        self.waiting.append((where, size, future))

    def after(self, call: Callable[[], None]) -> None:
        """Has `call` made once all that is queued now is written, or has failed."""
        self.calls = [done for done in self.calls if not done.done()]
        self.calls.append(self.pool.submit(call))

    def drain(self) -> None:
        """Waits for what is queued."""
        while self.waiting:
            self._settle()
        for call in self.calls:
            call.result()
        self.calls.clear()

    def close(self) -> None:
        """Waits for what is queued. After an interruption the queue still drains: it is computed work."""
        try:
            self.drain()
        finally:
            self.pool.shutdown(cancel_futures=True)

    def _settle(self) -> None:
        where, size, future = self.waiting.popleft()
        try:
            mine = future.result()
        except StoreUnusableError:
            raise
        except VdprobeError as error:
            self.report.failures.append(Failure(where, str(error)))
        else:
            self.report.written += mine
            self.report.already += not mine
            self.report.bytes += size if mine else 0
        self.tick(self.report)
