"""`vdprobe demo`: the whole story, small."""

from pathlib import Path
from typing import Annotated

import typer

from vdprobe.cli.output import human_seconds, say, show_progress


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything it makes.")] = Path("demo-output"),
) -> None:
    """Make a small scene, extract its features under three conditions, draw them. No download, no GPU."""
    from vdprobe.studies.demo import run_demo

    say("a made video with its expressions, a random-weight model of ModelScopeT2V's architecture, on this CPU")
    with show_progress() as tick:
        made = run_demo(out, on_progress=tick)
    report = made.report
    typer.echo(f"features   {report.items} items ({report.already} were there) in {human_seconds(report.seconds)}")
    typer.echo(f"store      {made.store}")
    typer.echo(f"picture    {made.figure}")
    typer.echo("")
    typer.echo("What to try next:")
    typer.echo(f"  vdprobe store ls --store {made.store}")
    typer.echo(f"  vdprobe plan {made.spec}")
    typer.echo(f"  vdprobe extract {made.spec} --timestep 0,500 --condition vd-t,concat")
    typer.echo("  vdprobe layers random:modelscope")
    raise typer.Exit(0 if report.ok else 1)
