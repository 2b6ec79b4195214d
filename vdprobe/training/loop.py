"""Steps of a training, one after the other: each in the log, the state saved now and then."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SAVE_SECONDS = 60.0

Row = dict[str, Any]
OnStep = Callable[[Row, int], None]
"""Gets each row of the log, and the steps made before this run."""


def run_steps(
    step: Callable[[int], Row],
    save: Callable[[int], None],
    log: Path,
    before: int,
    steps: int,
    *,
    on_step: OnStep | None,
    save_seconds: float,
) -> list[Row]:
    """The rows of the steps from `before` on, each written to `log` as it is made.

    - `save`: keeps the state after so many steps; called every `save_seconds` and at the end.
    """
    rows = []
    saved, last_save = before, time.monotonic()
    with log.open("a", encoding="utf-8") as file:
        for number in range(before, steps):
            row = step(number)
            file.write(json.dumps(row) + "\n")
            file.flush()
            rows.append(row)
            if time.monotonic() - last_save > save_seconds:
                save(number + 1)
                saved, last_save = number + 1, time.monotonic()
            if on_step is not None:
                on_step(row, before)
    if saved < steps:
        save(steps)
    return rows
