"""`Protocol`: how samples become a report; `Report`: the scores, and all that must be known to trust them."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vdprobe.errors import DataError, one_line
from vdprobe.metrics.protocols.samples import ImageSample, LabelSample, MaskSample


@dataclass(frozen=True)
class Protocol:
    """A named way to score.

    - `samples`: the kind it takes.
    - `score`: one sample to records, which are small; this is where the work is, and it needs no other sample.
    - `sum_up`: all records to scores in [0, 1], decay in [-1, 1].
    - `policy`: what counts, and what void, empty, missing and extra masks give.
    """

    name: str
    samples: type[LabelSample] | type[MaskSample] | type[ImageSample]
    score: Callable[[Any], tuple[Any, ...]]
    sum_up: Callable[[Sequence[Any]], dict[str, float]]
    policy: Mapping[str, str]


@dataclass(frozen=True)
class Report:
    """The scores of a protocol.

    - `counts`: how much was scored.
    - `missing`: what had no prediction; `extra`: predictions of nothing that was asked for; `unscored`:
      what has no usable truth, with the reason. Scores are without the last two.
    - `columns`, `rows`: what the scores are means of, one row a frame or image.
    """

    protocol: str
    scores: Mapping[str, float]
    counts: Mapping[str, int]
    policy: Mapping[str, str]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    unscored: tuple[str, ...]
    notes: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]

    def to_plain(self) -> dict[str, Any]:
        """All but the rows, for JSON."""
        return {
            "protocol": self.protocol,
            "scores": dict(self.scores),
            "counts": dict(self.counts),
            "policy": dict(self.policy),
            "missing": list(self.missing),
            "extra": list(self.extra),
            "unscored": list(self.unscored),
            "notes": list(self.notes),
        }

    def to_csv(self) -> str:
        """The rows, with a line of column names."""
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([self.columns, *self.rows])
        return out.getvalue()


def make_report(
    protocol: Protocol,
    records: Sequence[Any],
    *,
    extra: Iterable[str] = (),
    unscored: Iterable[str] = (),
    notes: Iterable[str] = (),
) -> Report:
    """Sums up what `protocol.score` gave. Raises `DataError` when that is nothing."""
    if not records:
        raise DataError(f"there is nothing to score by '{protocol.name}'; give at least one sample")
    return Report(
        protocol.name,
        protocol.sum_up(records),
        records[0].count(records),
        protocol.policy,
        # a frame that misses is missed once, however many objects it shows
        missing=tuple(dict.fromkeys(one_line(name) for record in records for name in record.absent())),
        extra=tuple(map(one_line, extra)),
        unscored=tuple(map(one_line, unscored)),
        notes=tuple(notes),
        columns=records[0].columns,
        rows=tuple(row for record in records for row in record.rows()),
    )


def evaluate(protocol: Protocol, samples: Iterable[Any]) -> Report:
    """The report of `samples`, which must be of the kind that `protocol.samples` says.

    Raises `DataError` for a sample that the benchmark would refuse, or when there is none.
    """

    def records() -> Iterator[Any]:
        for sample in samples:
            if not isinstance(sample, protocol.samples):
                wanted, got = protocol.samples.__name__, type(sample).__name__
                raise DataError(f"protocol '{protocol.name}' scores a {wanted}, not a {got}; give it those")
            yield from protocol.score(sample)

    return make_report(protocol, list(records()))
