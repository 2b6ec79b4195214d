"""The end of a training whose loss or gradient is not finite: its batch is kept for whoever looks for the cause."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from vdprobe.errors import TrainingError
from vdprobe.training.checkpoint import replace_file

BAD_BATCH = "bad_batch.json"


def stop_at(
    step: int,
    clips: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any],
    out: Path,
    *,
    remedy: str,
    write: bool = True,
) -> NoReturn:
    """Writes `clips` (each with `video` and `expression`) and `facts` to `bad_batch.json`, and raises `TrainingError`.

    - `step`: counted from 0. `remedy`: what to do about it. `write`: whether it is this process that writes.
    """
    value = {"step": step + 1, **facts, "clips": clips}
    if write:
        replace_file(out / BAD_BATCH, lambda part: part.write_text(json.dumps(value, indent=2), "utf-8"))
    names = ", ".join(f"{clip['video']}/{clip['expression']}" for clip in clips)
    raise TrainingError(
        f"the loss or its gradient is not finite at step {step + 1} ({names}; {out / BAD_BATCH}): {remedy}"
    )
