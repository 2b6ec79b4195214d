"""Who does which clip, where several workers fill one store: what one is doing, no other does."""

import time

from vdprobe.extraction.clip_work import ClipWork
from vdprobe.specs.canonical import canonical_hash
from vdprobe.specs.features import FeatureSpec, Item
from vdprobe.store.store import FeatureStore

Pending = dict[FeatureSpec, list[Item]]


class Shares:
    """What this worker holds: a claim for each spec of a clip, so that overlapping grids share it too."""

    def __init__(self, store: FeatureStore) -> None:
        self.store = store
        self.held: set[str] = set()

    def take_all(self, clip: ClipWork, pending: Pending) -> bool:
        """Claim all of a clip, or nothing of it: what is done once for all specs is then done by one worker."""
        mine: list[FeatureSpec] = []
        for spec in sorted(pending, key=lambda spec: spec.key):  # in one order, so that one of several gets it
            if not self._take(clip, spec):
                self.give_back(clip, mine)
                return False
            mine.append(spec)
        return True

    def take_some(self, clip: ClipWork, pending: Pending) -> Pending:
        """Claim what of a clip nobody else holds."""
        return {spec: items for spec, items in pending.items() if self._take(clip, spec)}

    def give_back(self, clip: ClipWork, specs: list[FeatureSpec] | Pending) -> None:
        """Drop claims, once what they were for is committed or has failed."""
        for spec in specs:
            self._drop(_name(clip, spec))

    def close(self) -> None:
        """Drop all that is left."""
        for name in list(self.held):
            self._drop(name)

    def _take(self, clip: ClipWork, spec: FeatureSpec) -> bool:
        name = _name(clip, spec)
        taken = self.store.claim(name)
        if taken:
            self.held.add(name)
        return taken

    def _drop(self, name: str) -> None:
        self.store.release(name)
        self.held.discard(name)


def pause(clips: int) -> None:
    """Wait a little before asking again for so many clips."""
    time.sleep(min(60.0, max(1.0, clips / 50)))


def _name(clip: ClipWork, spec: FeatureSpec) -> str:
    return canonical_hash([spec.key, clip.video.id, clip.digest, clip.frames])[:32]
