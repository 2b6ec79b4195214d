"""The numbers of a training's log for TensorBoard."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter


@contextmanager
def event_files(folder: Path, before: int) -> Iterator[SummaryWriter]:
    """A writer into `folder`; what was written there of steps after `before` no longer counts."""
    # The second in a file's name does not tell apart two runs of one second, of which the later would overwrite.
    writer = SummaryWriter(str(folder), purge_step=before + 1, filename_suffix=f".{before:09d}")
    try:
        yield writer
    finally:
        writer.close()


def write_row(writer: SummaryWriter, row: Mapping[str, Any], measured: tuple[str, ...]) -> None:
    """Every number of a row under its step, those that are `measured` apart from those of the training."""
    for name, value in row.items():
        if name != "step":
            group = "validation" if name in measured else "training"
            writer.add_scalar(f"{group}/{name.replace('&', '_and_')}", value, row["step"])  # tags hold no &
