"""`vdprobe train-head`: VD-IT's segmentation head on features that are in the store."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vdprobe.cli import options as o
from vdprobe.cli.output import bars_in_turn, human_seconds, print_json, say, stop
from vdprobe.cli.train_adapter import SHOWN

if TYPE_CHECKING:
    from vdprobe.extraction.report import Report
    from vdprobe.training.head_training import TrainedHead

Stages = tuple[Callable[["Report"], None], Callable[[dict[str, Any], int], None]]


def train_head(
    config: Annotated[Path, typer.Argument(help="YAML file: features, val_split, steps, views, rate, ...")],
    start: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Folder of `train-head` or `import-official`: the head to begin with.", show_default=False
        ),
    ] = None,
    extract: Annotated[bool, typer.Option("--extract", help="Extract first what the store lacks.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for the heads and all that belongs to them.")] = Path("head"),
    device: o.Device = None,
    verify: o.Verify = None,
    as_json: o.Json = False,
    assignments: o.Set = None,
) -> None:
    """Train the segmentation head on cached features. Run it again to resume.

    The best head is the one with the highest J&F on the validation split: its score there flatters it. With --from it
    begins with the weights of another head, and its scores anew, as the official fine-tuning does.
    Several GPUs: accelerate launch -m vdprobe train-head CONFIG.
    """
    from accelerate.state import PartialState

    from vdprobe.training.head_config import read_head_config
    from vdprobe.training.head_training import train_head as train
    from vdprobe.training.memory import keep_freed_memory

    keep_freed_memory()
    asked = read_head_config(config, assignments or (), device=device, verify=verify, start=start)
    try:
        with _progress(asked.steps) as (on_extract, on_step):
            made = train(asked, out, fill=extract, on_extract=on_extract, on_step=on_step)
    except KeyboardInterrupt:
        stop("interrupted: run the same command again to go on from the last saved state")
    if PartialState().is_main_process:
        _show(made, as_json)
    raise typer.Exit(1 if made.failures else 0)


@contextmanager
def _progress(steps: int) -> Iterator[Stages]:
    """What to call after each extracted item and after each step: one bar after the other."""
    losses: deque[float] = deque(maxlen=SHOWN)
    with bars_in_turn() as bar:

        def on_extract(report: "Report") -> None:
            bar("extracting", "items")(report.written, report.items, report.already)

        def on_step(row: dict[str, Any], before: int) -> None:
            losses.append(row["loss"])
            note = f"loss {sum(losses) / len(losses):.4f}"
            bar("training", "steps")(row["step"] - before, steps, before, note)

        yield on_extract, on_step


def _show(made: "TrainedHead", as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "last": str(made.last),
                "best": str(made.best) if made.best else None,
                "scores": made.scores,
                "steps": made.steps,
                "loss": made.loss,
                "log": str(made.log),
                "notes": made.notes,
                "failures": [{"where": f.where, "error": f.error} for f in made.failures],
                "seconds": round(made.seconds, 3),
                "step_seconds": made.step_seconds,
                "waiting": made.waiting,
            }
        )
        return
    for note in made.notes:
        say(f"note: {note}")
    for failure in made.failures:
        say(f"failed: {failure.where}: {failure.error}")
    if made.step_seconds is not None and made.waiting is not None:
        say(f"{human_seconds(made.step_seconds)} a step, {made.waiting:.0%} of it waiting for data")
    scores = f", best J&F {made.scores['J&F']:.3f} on the validation split, which chose it" if made.scores else ""
    say(f"{made.steps} steps, last loss {made.loss:.4f}{scores}, in {human_seconds(made.seconds)}")
    typer.echo(f"{made.best or made.last}")
