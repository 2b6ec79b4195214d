"""`vdprobe datasets`: make the data that can be made, check the data that was fetched."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vdprobe.cli.numbers import whole
from vdprobe.cli.options import LAYOUTS, Json
from vdprobe.cli.output import count_progress, human_seconds, print_json, print_table, say

if TYPE_CHECKING:
    from vdprobe.data.check_dataset import SplitCheck

app = typer.Typer(help="Make the data that can be made, check the data that was fetched.", no_args_is_help=True)

VIDEOS = {
    f"{regime}{split}": count
    for regime in ("", "easy-")
    for split, count in {"train": 1000, "val": 200, "test": 200, "held-out": 200}.items()
}
"""What is written when no split is named."""
SHOWN = 3
"""Lines of each finding; `--json` has all."""


@app.command("make")
def make(
    folder: Annotated[Path, typer.Argument(help="A new folder, in the layout of Ref-YouTube-VOS.")],
    train: Annotated[int | None, whole("Videos to train on.", least=1)] = None,
    val: Annotated[int | None, whole("Videos to choose by; at most 200.", least=1)] = None,
    test: Annotated[int | None, whole("Videos to report on; at most 200.", least=1)] = None,
    held_out: Annotated[
        int | None, whole("Videos with pairs of colour and shape that no other has; at most 200.", least=1)
    ] = None,
    easy_train: Annotated[int | None, whole("The same four of the easy regime.", least=1)] = None,
    easy_val: Annotated[int | None, whole("", least=1)] = None,
    easy_test: Annotated[int | None, whole("", least=1)] = None,
    easy_held_out: Annotated[int | None, whole("", least=1)] = None,
    frames: Annotated[int, whole("Frames of a video.", least=1)] = 8,
    side: Annotated[int, whole("Side of a frame in pixels.", least=16)] = 128,
    as_json: Json = False,
) -> None:
    """Write MovingShapes: made videos with exact masks and expressions. Only the splits that are named, or all.

    Those that begin with easy- have 2 or 3 objects of different looks on a plain ground in steady light.
    """
    import os
    import time

    from vdprobe.data.moving_shapes.write import CHUNK, write_moving_shapes

    named = {"train": train, "val": val, "test": test, "held-out": held_out}
    named |= {"easy-train": easy_train, "easy-val": easy_val, "easy-test": easy_test, "easy-held-out": easy_held_out}
    counts = {split: count for split, count in named.items() if count is not None} or VIDEOS
    began = time.monotonic()
    with count_progress("writing", "videos") as update:
        expressions = write_moving_shapes(
            folder,
            counts,
            frames=frames,
            side=side,
            processes=min(os.cpu_count() or 1, -(-sum(counts.values()) // CHUNK)),
            on_progress=update,
        )
    seconds = time.monotonic() - began
    if as_json:
        splits = {split: {"videos": count, "expressions": expressions[split]} for split, count in counts.items()}
        print_json({"folder": str(folder), "splits": splits, "seconds": round(seconds, 3)})
        return
    for split, count in counts.items():
        say(f"{split}: {count} videos, {expressions[split]} expressions")
    say(f"{sum(counts.values())} videos in {human_seconds(seconds)}: {folder}")


@app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(help="The folder of a dataset.")],
    layout: Annotated[str, typer.Option(help=LAYOUTS)] = "auto",
    split: Annotated[str | None, typer.Option(help="One split; without it, all.")] = None,
    as_json: Json = False,
) -> None:
    """Say what is missing from a dataset or malformed in it. Exit status 1 if anything is."""
    from typing import cast, get_args

    from vdprobe.data.check_dataset import check_dataset
    from vdprobe.data.layouts import Layout
    from vdprobe.errors import ConfigError, suggest

    if layout not in get_args(Layout):
        raise ConfigError(f"unknown layout '{layout}'; {suggest(layout, get_args(Layout))}")
    with count_progress("checking", "videos") as update:
        checks = check_dataset(folder, cast(Layout, layout), split, update)
    if as_json:
        print_json({"folder": str(folder), "splits": [_as_json(found) for found in checks]})
    else:
        columns = ("split", "layout", "listed", "videos", "frames", "masks", "objects", "expressions")
        print_table(columns, [[getattr(found, column) for column in columns] for found in checks])
        for found in checks:
            for finding in found.findings:
                mark = "wrong" if finding.wrong else "note"
                typer.echo(f"{found.split or folder}: {mark}: {finding.count} {finding.what}")
                for line in finding.lines[:SHOWN]:
                    typer.echo(f"  {line}")
                if len(finding.lines) > SHOWN:
                    typer.echo(f"  and {len(finding.lines) - SHOWN} more: --json has all")
    if not all(found.complete for found in checks):
        raise typer.Exit(1)


def _as_json(check: "SplitCheck") -> dict[str, Any]:
    findings = [asdict(finding) | {"wrong": finding.wrong} for finding in check.findings]
    return asdict(check) | {"complete": check.complete, "findings": findings}
