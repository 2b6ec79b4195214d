"""`vdprobe demo`: the whole story, small."""

from pathlib import Path
from typing import Annotated

import typer

from vdprobe.cli.output import human_seconds, print_table, say, show_progress


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything it makes.")] = Path("demo-output"),
) -> None:
    """Make a few videos, extract their features under three conditions, draw them. No download, no GPU."""
    from vdprobe.studies.demo import TIMESTEP, run_demo
    from vdprobe.studies.report.of_demo import write_demo_report

    say("three made videos, a small pretrained text-to-video model (tiny-t2v) and its control with a random UNet")
    with show_progress() as tick:
        made = run_demo(out, on_progress=tick)
    report = made.report
    typer.echo(f"videos     {made.videos}")
    typer.echo(f"features   {report.items} items ({report.already} were there) in {human_seconds(report.seconds)}")
    typer.echo(f"store      {made.store}")
    for name, path in made.pictures.items():
        typer.echo(f"{name:<10} {path}")
    typer.echo("")
    typer.echo(f"Labels of the first frame, carried on by nearest neighbours (mean J&F, t = {TIMESTEP}):")
    print_table(("feature", "J&F"), [(name, f"{value:.3f}") for name, value in made.scores.items()])
    typer.echo("A few objects say little: `experiments/` has the same on whole splits, with intervals.")
    typer.echo("")
    typer.echo("What to try next:")
    typer.echo(f"  vdprobe look --store {made.store} --open         # click a point, see where a layer finds the same")
    typer.echo('  vdprobe sample "a large red star moving up"          # what the model makes of a text')
    typer.echo(f"  vdprobe store ls --store {made.store}")
    typer.echo(f"  vdprobe extract {made.spec} --timestep 0,300,700 --noise gaussian,predicted")
    typer.echo("  vdprobe extract --model tiny-t2v --videos YOUR_VIDEO.mp4 --condition vd-i")
    typer.echo("  vdprobe layers tiny-t2v")
    typer.echo("")
    typer.echo(f"report     {write_demo_report(made, out)}")
    raise typer.Exit(0 if report.ok else 1)
