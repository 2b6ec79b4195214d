"""What was used last, within a limit of bytes."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, Protocol, TypeVar, runtime_checkable


@runtime_checkable
class Sized(Protocol):
    """What a cache can hold."""

    @property
    def nbytes(self) -> int:
        """How much of the limit it takes."""


Value = TypeVar("Value", bound=Sized)


class BoundedCache(Generic[Value]):
    """Values by key, the most recently used of them, whose `nbytes` together stay within a limit.

    What alone is larger than the limit is made for each question, and not kept.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._making: dict[Hashable, Lock] = {}
        self._lock = Lock()

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        with self._lock:
            return self._total()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, made if it is not there; those who ask for one at the same time wait for one making."""
        with self._lock:
            making = self._making.setdefault(key, Lock())
        with making:
            with self._lock:
                if key in self._values:
                    self._values.move_to_end(key)
                    return self._values[key]
            value = make()
            with self._lock:
                self._making.pop(key, None)
                if value.nbytes <= self.limit:
                    self._values[key] = value
                    while self._total() > self.limit:
                        self._values.popitem(last=False)
            return value

    def _total(self) -> int:
        return sum(value.nbytes for value in self._values.values())
