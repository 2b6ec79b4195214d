"""`vdprobe train-adapter`: the trained parts of vd-i, vd-t and vd-it, and the predicted noise."""

from collections import deque
from pathlib import Path
from typing import Annotated, Any

import typer

from vdprobe.cli import options as o
from vdprobe.cli.numbers import whole
from vdprobe.cli.output import count_progress, human_seconds, print_json, say, stop

SHOWN = 20
"""Steps that the loss on the progress line is a mean of."""

PATHS = {
    "videos": "videos.path",
    "split": "videos.split",
    "val_split": "videos.val_split",
    "model": "model.pipeline",
    "image_encoder": "model.image_encoder",
    "device": "model.device",
    "condition": "condition",
    "noise": "noise",
    "timestep": "timestep",
    "steps": "steps",
    "batch_size": "batch_size",
    "frames": "clips.frames",
    "seed": "seed",
}
"""Parameter of the command to its place in `AdapterTrainingConfig`."""


def train_adapter(
    ctx: typer.Context,
    spec: o.Spec = None,
    videos: Annotated[str | None, typer.Option(help="Dataset with masks: meta_expressions/, Annotations/ ...")] = None,
    split: Annotated[str | None, typer.Option(help="Split to train on; train if not given.")] = None,
    val_split: Annotated[str | None, typer.Option(help="Split to measure J on, never trained on.")] = None,
    model: o.Model = None,
    image_encoder: o.ImageEncoder = None,
    condition: Annotated[str | None, typer.Option(help="vd-i, vd-t, vd-it or concat.")] = None,
    noise: Annotated[str | None, typer.Option(help="none, gaussian, frame-shared or predicted.")] = None,
    timestep: Annotated[str | None, typer.Option(help="500, s=0.2, sigma=0.5, logsnr=2 or clean.")] = None,
    steps: Annotated[int | None, whole("Steps of AdamW.")] = None,
    batch_size: Annotated[int | None, whole("Clips of a step.")] = None,
    frames: Annotated[int | None, whole("Frames of a clip.")] = None,
    device: o.Device = None,
    seed: o.Seed = None,
    out: Annotated[Path, typer.Option(help="Folder for the adapter and all that belongs to it.")] = Path("adapter"),
    as_json: o.Json = False,
    assignments: o.Set = None,
) -> None:
    """Train the adapter of a condition and a noise through the frozen model. Run it again to resume."""
    from vdprobe.training.adapter_training import train_adapter as train
    from vdprobe.training.adapter_words import tell
    from vdprobe.training.config import parse_training_config
    from vdprobe.training.memory import keep_freed_memory

    keep_freed_memory()
    config = parse_training_config(o.gather(ctx.params, PATHS))
    losses: deque[float] = deque(maxlen=SHOWN)
    try:
        with count_progress("training", "steps") as update:

            def on_step(row: dict[str, Any], before: int) -> None:
                losses.append(row["loss"])
                update(row["step"] - before, config.steps, before, f"loss {sum(losses) / len(losses):.4f}")

            made = train(config, out, on_step=on_step)
    except KeyboardInterrupt:
        stop("interrupted: run the same command again to go on from the last saved state")
    if as_json:
        print_json(
            {
                "adapter": str(made.adapter),
                "steps": made.steps,
                "loss": made.loss,
                "j": made.j,
                "words": made.words,
                "log": str(made.log),
                "notes": made.notes,
                "failures": [{"where": f.where, "error": f.error} for f in made.failures],
                "seconds": round(made.seconds, 3),
            }
        )
    else:
        for line in tell(made.words):
            say(line)
        for note in made.notes:
            say(f"note: {note}")
        for failure in made.failures:
            say(f"failed: {failure.where}: {failure.error}")
        j = "" if made.j is None else f", J {made.j:.3f} on the validation split"
        say(f"{made.steps} steps, last loss {made.loss:.4f}{j}, in {human_seconds(made.seconds)}")
        typer.echo(f"{made.adapter}")
    raise typer.Exit(1 if made.failures else 0)
