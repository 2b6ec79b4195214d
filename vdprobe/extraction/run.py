"""Runs a plan: fills the store with what is not there yet.

For each clip, what does not depend on the grid cell is done once (decode, VAE, image tokens, text
tokens, noise), then one forward for each (condition, noise, timestep, batch of texts).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from vdprobe.data.video import Failure
from vdprobe.errors import StoreUnusableError, VdprobeError
from vdprobe.extraction.plan import ClipWork, Plan
from vdprobe.extraction.writer import ItemWriter
from vdprobe.specs.canonical import canonical_hash, to_plain
from vdprobe.specs.environment import environment
from vdprobe.specs.features import FeatureSpec, Item
from vdprobe.store.check import clean_leftovers
from vdprobe.store.store import FeatureStore

Pending = dict[FeatureSpec, list[Item]]


@dataclass
class Report:
    """What a run did. `notes` are facts about single clips that a reader of the features should know."""

    items: int = 0
    already: int = 0
    written: int = 0
    bytes: int = 0
    forwards: int = 0
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    stopped: str | None = None

    def note(self, fact: str, where: str) -> None:
        """Gathers equal facts under one line."""
        places = self.notes.setdefault(fact, [])
        if where not in places:
            places.append(where)

    @property
    def ok(self) -> bool:
        """Whether every item is in the store."""
        return not self.failures and self.stopped is None and self.written + self.already == self.items


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
        if work:
            for spec in plan.specs:
                store.write_spec(spec, provenance(plan))
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
        pending: Pending = {}
        for spec in plan.specs:
            items = clip.items(spec)
            absent = [item for item in items if not store.is_committed(spec.key, item)]
            report.items += len(items)
            report.already += len(items) - len(absent)
            if absent:
                pending[spec] = absent
        if pending:
            yield clip, pending


def _fill(
    plan: Plan,
    store: FeatureStore,
    work: Sequence[tuple[ClipWork, Pending]],
    report: Report,
    tick: Callable[[Report], None],
) -> None:
    from vdprobe.extraction.compute import Computer  # torch and the model come in only where there is work

    computer = Computer.load(plan)
    grid = canonical_hash([spec.key for spec in plan.specs])
    with closing(ItemWriter(store, report, tick)) as writer:

        def run(clip: ClipWork, pending: Pending) -> None:
            # Another worker may have been here since the plan was made.
            left = {s: [i for i in items if not store.is_committed(s.key, i)] for s, items in pending.items()}
            report.already += sum(map(len, pending.values())) - sum(map(len, left.values()))
            try:
                computer.run(clip, {s: items for s, items in left.items() if items}, writer, report)
            except StoreUnusableError:
                raise
            except VdprobeError as error:
                report.failures.append(Failure(clip.name, str(error)))
            tick(report)

        claimed_elsewhere = []
        for clip, pending in work:
            name = canonical_hash([grid, clip.video.id, clip.digest, clip.frames])[:32]
            if not store.claim(name):
                claimed_elsewhere.append((clip, pending, name))
                continue
            try:
                run(clip, pending)
            finally:
                store.release(name)
        # Claims only order the work: what a worker that died had claimed is done here, without waiting.
        for clip, pending, name in claimed_elsewhere:
            run(clip, pending)
            store.release(name)
