"""Runs a plan: fills the store with what is not there yet.

For each clip, what does not depend on the grid cell is done once (decode, VAE, image tokens, text
tokens, noise), then one forward for each (condition, noise, timestep, batch of texts).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

from vdprobe.data.video import Failure
from vdprobe.errors import StoreUnusableError, VdprobeError
from vdprobe.extraction.clip_work import ClipWork
from vdprobe.extraction.plan import Plan
from vdprobe.extraction.report import Report
from vdprobe.extraction.shares import Pending, Shares, pause
from vdprobe.extraction.writer import ItemWriter
from vdprobe.specs.canonical import to_plain
from vdprobe.specs.environment import environment
from vdprobe.store.leftovers import clean_leftovers
from vdprobe.store.store import FeatureStore


def extract(plan: Plan, store: FeatureStore, *, on_progress: Callable[[Report], None] | None = None) -> Report:
    """Fills `store` with the items of `plan` that it lacks; run again, it goes on where it was.

    What fails for one clip or item is listed in the report and the rest goes on; a store that can no
    longer be written stops the job (`Report.stopped`). `on_progress` is called after each item.
    """
    began = time.monotonic()
    report = Report(failures=list(plan.failures))
    clean_leftovers(store)
    work = list(_pending(plan, store, report))
    tick = on_progress or (lambda _: None)
    tick(report)
    try:
        if report.items:
            for spec in plan.specs:
                if not store.has_spec(spec):
                    store.write_spec(spec, provenance(plan))
        if work:
            _fill(plan, store, work, report, tick)
    except StoreUnusableError as error:
        report.stopped = str(error)
    finally:
        report.seconds = time.monotonic() - began
    return report


def provenance(plan: Plan) -> dict[str, Any]:
    """What made the features, for the reader; none of it is in the key."""
    return {"config": to_plain(plan.config)} | environment("zarr", "av")


def _pending(plan: Plan, store: FeatureStore, report: Report) -> Iterator[tuple[ClipWork, Pending]]:
    for clip in plan.clips:
        pending = {spec: list(clip.items(spec)) for spec in plan.specs}
        report.items += sum(map(len, pending.values()))
        if left := _absent(pending, store, report):
            yield clip, left


def _absent(pending: Pending, store: FeatureStore, report: Report) -> Pending:
    """What of `pending` the store lacks; what it has is counted as there already."""
    left = {s: [i for i in items if not store.is_committed(s.key, i)] for s, items in pending.items()}
    report.already += sum(map(len, pending.values())) - sum(map(len, left.values()))
    return {spec: items for spec, items in left.items() if items}


def _fill(
    plan: Plan,
    store: FeatureStore,
    work: Sequence[tuple[ClipWork, Pending]],
    report: Report,
    tick: Callable[[Report], None],
) -> None:
    from vdprobe.extraction.compute import Computer  # torch and the model come in only where there is work

    computer = Computer.load(plan)
    with closing(Shares(store)) as shares, closing(ItemWriter(store, report, tick)) as writer:

        def run(clip: ClipWork, mine: Pending) -> None:
            left = _absent(mine, store, report)  # another worker may have been here since the plan was made
            try:
                computer.run(clip, left, writer, report)
            except StoreUnusableError:
                raise
            except VdprobeError as error:
                report.failures.append(Failure(clip.name, str(error)))
            finally:
                writer.after(lambda: shares.give_back(clip, mine))
            tick(report)

        waiting = []
        for clip, pending in work:
            if shares.take_all(clip, pending):
                run(clip, pending)
            else:
                waiting.append((clip, pending))
        while waiting:
            report.waiting = len(waiting)
            still = []
            for clip, pending in waiting:
                mine = shares.take_some(clip, pending)
                if mine:
                    run(clip, mine)
                if left := _absent({s: items for s, items in pending.items() if s not in mine}, store, report):
                    still.append((clip, left))
            if len(still) == len(waiting):
                writer.drain()
                tick(report)
                pause(len(still))
            waiting = still
        report.waiting = 0
